//! Puts an exported function into its module or class.
//!
//! PyO3 makes a built-in function. A [`FunctionDef`] or [`declare_method`] wraps it in an [`AsyncFunction`], which Python takes for
//! an `async def`. [`Hinted`] finds the type hints of the parameters and the result.

use std::marker::PhantomData;
use std::ops::Deref;

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::export::{Annotated, Annotation};
use super::{PyAddToModule, PyFunctionDef, WrapPyFunctionArg};
use crate::asyncio;
use crate::to_python::AsyncFunction;
pub use crate::to_python::{Declaration, Streamed, TypeHint};

/// An exported function, where PyO3 expects its own definition of one.
///
/// A module adds a definition by `add_to_module`. `wrap_pyfunction!` takes the reference that this dereferences to.
pub struct FunctionDef {
    pub builtin: fn() -> &'static PyFunctionDef,
    /// The second, synchronous function.
    pub blocking: Option<fn() -> &'static PyFunctionDef>,
    pub declaration: Declaration,
}

impl Deref for FunctionDef {
    type Target = PyFunctionDef;

    fn deref(&self) -> &PyFunctionDef {
        (self.builtin)()
    }
}

impl FunctionDef {
    pub fn add_to_module(&self, module: &Bound<'_, PyModule>) -> PyResult<()> {
        let builtin = module.wrap_pyfunction((self.builtin)())?.into_any();
        let name = builtin.getattr("__name__")?.cast_into::<PyString>()?;
        let function = AsyncFunction::new(builtin, module, &self.declaration)?;
        module.add(name, function)?;
        match self.blocking {
            Some(blocking) => blocking().add_to_module(module),
            None => Ok(()),
        }
    }
}

/// Declares a method of a class that PyO3 has made.
pub fn declare_method<T: PyTypeInfo>(
    py: Python<'_>,
    name: &str,
    declaration: &Declaration,
) -> PyResult<()> {
    AsyncFunction::replace_method(&py.get_type::<T>(), name, declaration)
}

/// The value of the class attribute by which [`declare_method`] is called. Once replaced, it removes the attribute.
#[pyclass(frozen, module = "pyo3_asyncio")]
pub struct RemovesName(Py<PyType>);

impl RemovesName {
    pub fn from<T: PyTypeInfo>(py: Python<'_>) -> Self {
        Self(py.get_type::<T>().unbind())
    }
}

impl Drop for RemovesName {
    fn drop(&mut self) {
        asyncio::in_deallocation(|py| {
            // An error: two threads initialized the class at once, and the other one has removed it.
            let _ = self.0.bind(py).delattr("__releasebuffer__");
        });
    }
}

/// Sets the hint of a parameter, or of the result, as `return`.
pub fn annotate<'py>(
    annotations: &Bound<'py, PyDict>,
    name: &str,
    hint: impl IntoPyObject<'py>,
) -> PyResult<()> {
    annotations.set_item(name, hint)
}

/// A type that may have a hint.
pub struct Hinted<T>(Unhinted<T>);

pub struct Unhinted<T>(PhantomData<T>);

pub fn hinted<T>() -> Hinted<T> {
    Hinted(Unhinted(PhantomData))
}

impl<T: TypeHint> Hinted<T> {
    pub fn annotate(&self, annotations: &Bound<'_, PyDict>, name: &str) -> PyResult<()> {
        annotate(annotations, name, T::type_hint(annotations.py())?)
    }
}

impl<T> Deref for Hinted<T> {
    type Target = Unhinted<T>;

    fn deref(&self) -> &Unhinted<T> {
        &self.0
    }
}

impl<T> Unhinted<T> {
    pub fn annotate(&self, _annotations: &Bound<'_, PyDict>, _name: &str) -> PyResult<()> {
        Ok(())
    }
}

impl<A: Annotation> TypeHint for Annotated<A> {
    fn type_hint(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(PyString::new(py, A::TEXT).into_any())
    }
}

/// Stands in for what PyO3 defines for its introspection.
pub mod without_introspection {
    pub const _PYO3_INTROSPECTION_ID: &str = "";
}

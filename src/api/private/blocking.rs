//! Exports that block: the second function of an export with `blocking = "name"`.
//!
//! The wrapper that the attribute generates makes the same future as the wrapper for the coroutine, and passes it here. [`blocked`]
//! calls `block_on`, and [`generator`] makes a generator of a stream.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

use pyo3::IntoPyObjectExt;
pub use pyo3::impl_::concat::{combine_to_array, combined_len};
use pyo3::prelude::*;
#[cfg(feature = "experimental-inspect")]
use pyo3::types::PyNone;

use super::export::{CoroutineOptions, Shown, Way};
use super::streams::{Emitter, emitted};
use crate::error::note_future;
use crate::runtime::Runtime;

/// The return value of a function that blocks: a `T`.
pub struct Blocked<'py, T> {
    object: Bound<'py, PyAny>,
    returns: PhantomData<fn() -> T>,
}

impl<'py, T: Shown> IntoPyObject<'py> for Blocked<'py, T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    #[cfg(feature = "experimental-inspect")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = T::OUTPUT_TYPE;

    fn into_pyobject(self, _py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.object)
    }
}

pub fn blocked<'a, R, W, F, T, O>(
    py: Python<'a>,
    made_at: &'static Location<'static>,
    future: F,
) -> PyResult<Blocked<'a, O>>
where
    R: Runtime,
    W: Way,
    F: Future<Output = PyResult<T>> + Send, // drop what is not Send before the next await, in a block of its own
    T: for<'py> IntoPyObject<'py> + Send, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    let output = W::block_on::<R, F, T>(py, future);
    let output = output.inspect_err(|error| note_future(error.value(py), made_at))?;
    Ok(Blocked {
        object: output.into_bound_py_any(py)?,
        returns: PhantomData,
    })
}

/// The return value of a function that blocks for each item of a stream: a generator that yields `T`s.
pub struct Generator<'py, T> {
    object: Bound<'py, PyAny>,
    yields: PhantomData<fn() -> T>,
}

impl<'py, T: Shown> IntoPyObject<'py> for Generator<'py, T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    #[cfg(feature = "experimental-inspect")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        pyo3::type_hint_identifier!("collections.abc", "Generator"),
        T::OUTPUT_TYPE,
        <Py<PyNone> as Shown>::OUTPUT_TYPE,
        <Py<PyNone> as Shown>::OUTPUT_TYPE
    );

    fn into_pyobject(self, _py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.object)
    }
}

pub fn generator<R, F, T, O>(
    py: Python<'_>,
    options: CoroutineOptions,
    make: impl FnOnce(Emitter<T>) -> F,
) -> PyResult<Generator<'_, O>>
where
    R: Runtime,
    F: Future<Output = PyResult<()>> + Send + 'static, // the stream has to be `Send`
    T: for<'py> IntoPyObject<'py> + Send + 'static, // Python gets it: make it a `#[pyclass]`, or implement `IntoPyObject`
{
    let (names, made_at, arguments) = ((options.names)(), options.made_at, options.arguments);
    Ok(Generator {
        object: crate::entry::generator::<R, _, T>(py, names, made_at, arguments, emitted(make))?,
        yields: PhantomData,
    })
}

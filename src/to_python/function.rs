//! The Python object of an exported `async fn`: a built-in function that is declared as an `async def`.
//!
//! `inspect` recognizes a coroutine function by its code object, which a built-in function does not have. So each exported function
//! has a *declaration*, an `async def` of the same name and signature, without a body. An [`AsyncFunction`] holds both. It passes
//! a call to the built-in function, and every other attribute access to the declaration.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::asyncio;

/// What the declaration of a function has that the built-in function does not tell.
#[derive(Debug)]
pub struct Declaration {
    /// Whether the function returns an async generator.
    pub is_stream: bool,
    /// The signature, where the built-in function has none.
    pub signature: Option<&'static str>,
    /// Sets the type hints of parameters, by name, and that of the result, as `return`.
    pub annotate: fn(&Bound<'_, PyDict>) -> PyResult<()>,
}

// A docstring of the class would hide that of the function from `pydoc`.
#[pyclass(frozen, weakref, module = "pyo3_asyncio")]
pub(crate) struct AsyncFunction {
    function: Py<PyAny>,
    declaration: Py<PyAny>,
}

impl AsyncFunction {
    /// Declares a built-in function of a module or class.
    pub(crate) fn new<'py>(
        function: Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
        declaration: &Declaration,
    ) -> PyResult<Bound<'py, Self>> {
        let py = function.py();
        let annotations = PyDict::new(py);
        (declaration.annotate)(&annotations)?;
        let (signature, is_stream) = (declaration.signature, declaration.is_stream);
        let declared = asyncio::declare(&function, owner, signature, is_stream, annotations)?;
        let (function, declaration) = (function.unbind(), declared.unbind());
        Bound::new(
            py,
            Self {
                function,
                declaration,
            },
        )
    }

    /// Declares a method of a class, and takes its place there.
    pub(crate) fn replace_method(
        class: &Bound<'_, PyType>,
        name: &str,
        declaration: &Declaration,
    ) -> PyResult<()> {
        let (function, binds) = asyncio::own_method(class, name)?;
        // Two threads may initialize a class at once.
        if function.is_instance_of::<Self>() {
            return Ok(());
        }
        let function = Self::new(function, class, declaration)?.into_any();
        match binds {
            Some(binds) => class.setattr(name, binds.call1((function,))?),
            None => class.setattr(name, function),
        }
    }
}

#[pymethods]
impl AsyncFunction {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.function.bind(args.py()).call(args, kwargs)
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        object: Option<Bound<'py, PyAny>>,
        _class: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match object {
            Some(object) => asyncio::bind_method(slf.into_any(), object),
            None => Ok(slf.into_any()),
        }
    }

    fn __getattribute__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &*name.to_cow()? {
            "__call__" | "__get__" | "__reduce_ex__" => asyncio::own_attribute(slf, name),
            _ => slf.get().declaration.bind(slf.py()).getattr(name),
        }
    }

    /// `pydoc` asks the object alone.
    #[getter]
    fn __doc__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        asyncio::doc(self.declaration.bind(py))
    }

    fn __setattr__(&self, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.declaration.bind(name.py()).setattr(name, value)
    }

    fn __delattr__(&self, name: &Bound<'_, PyString>) -> PyResult<()> {
        self.declaration.bind(name.py()).delattr(name)
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.declaration.bind(py).repr()
    }

    /// A copy is the same function, and a pickle has its name.
    fn __reduce_ex__<'py>(
        &self,
        py: Python<'py>,
        _protocol: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        asyncio::qualname(self.declaration.bind(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)?;
        visit.call(&self.declaration)
    }
}

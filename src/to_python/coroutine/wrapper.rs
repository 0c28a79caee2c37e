//! What a coroutine's `__await__` gives: an iterator. The coroutine itself is none, so that a loop over one that was not awaited
//! is the error that it is for an `async def`.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::RustCoroutine;

/// Passes everything on to the coroutine.
#[pyclass(frozen, module = "pyo3_asyncio")]
pub(super) struct RustCoroutineWrapper(Py<RustCoroutine>);

impl RustCoroutineWrapper {
    pub(super) fn new(coroutine: Py<RustCoroutine>) -> Self {
        Self(coroutine)
    }
}

#[pymethods]
impl RustCoroutineWrapper {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.0.get().__next__(py)
    }

    fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.0.get().send(py, value)
    }

    #[pyo3(signature = (*args), text_signature = "($self, type, value=None, traceback=None, /)")]
    fn throw(&self, args: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        self.0.get().throw(args)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.get().close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }
}

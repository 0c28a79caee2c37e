//! Coroutines, on a bridge that exports them.

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::tokio;

/// A coroutine that yields to the runtime once.
#[tokio::pyfunction]
pub(crate) async fn coroutine() -> i32 {
    ::tokio::task::yield_now().await;
    1
}

/// The built-in function behind `coroutine`.
#[pyfunction]
pub(crate) fn built_in(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    wrap_pyfunction!(coroutine, py)
}

/// A class with an exported method.
#[pyclass(frozen)]
pub(crate) struct Exporting;

#[tokio::pymethods]
impl Exporting {
    #[new]
    fn new() -> Self {
        Self
    }

    async fn method(&self) -> i32 {
        1
    }

    /// What `method` would be without the attribute.
    fn built_in(slf: Py<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        tokio::into_coroutine(py, async move {
            let _object = slf;
            Ok(1)
        })
    }
}

//! Coroutines, on a bridge that exports them.

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio;

/// A coroutine that yields to the runtime once.
#[tokio::pyfunction]
pub(crate) async fn coroutine() -> i32 {
    ::tokio::task::yield_now().await;
    1
}

/// A class with an exported method.
#[pyclass(frozen, subclass)]
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
}

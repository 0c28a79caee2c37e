//! An event loop and tokio in one thread.

use pyo3::prelude::*;

/// A loop whose thread also runs the Rust futures.
#[pyfunction]
pub(crate) fn new_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_async_runtimes::tokio::new_event_loop(py)
}

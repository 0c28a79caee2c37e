//! Failures, each made at a line of this file that has the name of the function.

use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;
use smol::stream::{self, Stream};

use crate::bridge;

async fn fail(text: &'static str) -> PyResult<()> {
    Err(PyLookupError::new_err(text))
}

#[pyfunction]
pub(crate) fn failed_future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::future_into_py(py, fail("failed_future"))
}

#[pyfunction]
pub(crate) fn failed_eager_future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::eager_future_into_py(py, fail("failed_eager_future"))
}

#[pyfunction]
pub(crate) fn failed_local_future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::local_future_into_py(py, fail("failed_local_future"))
}

#[pyfunction]
pub(crate) fn failed_coroutine(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::into_coroutine(py, fail("failed_coroutine"))
}

#[pyo3_asyncio::tokio::pyfunction(blocking = "failed_blocking_export")]
pub(crate) async fn failed_export() -> PyResult<()> {
    fail("failed_export").await
}

#[pyo3_asyncio::tokio::pyfunction(eager_start)]
pub(crate) async fn failed_eager_export() -> PyResult<()> {
    fail("failed_eager_export").await
}

#[pyclass]
pub(crate) struct Failed;

#[pyo3_asyncio::tokio::pymethods]
impl Failed {
    #[new]
    fn new() -> Self {
        Self
    }

    async fn failed_method(&self) -> PyResult<()> {
        fail("failed_method").await
    }

    #[staticmethod]
    #[pyo3(blocking = "failed_blocking_stream")]
    fn failed_stream() -> impl Stream<Item = PyResult<()>> {
        stream::once(Err(PyLookupError::new_err("failed_stream")))
    }
}

/// A task whose coroutine fails.
#[pyfunction]
pub(crate) fn failed_task(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    let locals = TaskLocals::with_running_loop(py)?;
    locals
        .run_coroutine(move |py| function.bind(py).call1(("failed_task",)))
        .detach();
    Ok(())
}

/// A task that cannot start.
#[pyfunction]
pub(crate) fn failed_start(py: Python<'_>) -> PyResult<()> {
    let locals = TaskLocals::with_running_loop(py)?;
    locals
        .run_coroutine(|_| Err(PyLookupError::new_err("failed_start")))
        .detach();
    Ok(())
}

#[pyfunction]
pub(crate) fn failed_call(py: Python<'_>) -> PyResult<()> {
    let locals = TaskLocals::with_running_loop(py)?;
    locals
        .call_soon(|_| Err::<(), _>(PyLookupError::new_err("failed_call")))
        .detach();
    Ok(())
}

#[pyfunction]
pub(crate) fn failed_iteration(py: Python<'_>) -> PyResult<()> {
    let locals = TaskLocals::with_running_loop(py)?;
    locals
        .run_async_generator(|_| Err(PyLookupError::new_err("failed_iteration")))
        .detach();
    Ok(())
}

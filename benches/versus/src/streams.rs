//! Streams, in both directions.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::sync::Mutex;

/// Counts the items of `generator`.
#[cfg(feature = "streams")]
#[pyfunction]
pub(crate) fn into_stream_v1(generator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = generator.py();
    let stream = pyo3_async_runtimes::tokio::into_stream_v1(generator)?;
    future_into_py(py, async move { Ok(stream.count().await) })
}

/// Counts the items of `generator`.
#[cfg(feature = "streams")]
#[pyfunction]
pub(crate) fn into_stream_v2(generator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = generator.py();
    let stream = pyo3_async_runtimes::tokio::into_stream_v2(generator)?;
    future_into_py(py, async move { Ok(stream.count().await) })
}

/// An asynchronous iterator over a Rust stream, as a user writes it where the bridge has none: a future for each item.
#[pyclass(frozen)]
pub(crate) struct Numbers(Arc<Mutex<dyn Stream<Item = usize> + Send + Unpin>>);

#[pymethods]
impl Numbers {
    fn __aiter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = Arc::clone(&self.0);
        future_into_py(py, async move {
            let item = stream.lock().await.next().await;
            item.ok_or_else(|| PyStopAsyncIteration::new_err(()))
        })
    }
}

/// An asynchronous iterator over the numbers below `count`.
#[pyfunction]
pub(crate) fn numbers(count: usize) -> Numbers {
    Numbers(Arc::new(Mutex::new(stream::iter(0..count))))
}

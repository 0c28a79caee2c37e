//! Streams, in both directions.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::sync::Mutex;

/// Counts the items of `generator`.
#[pyfunction]
pub(crate) fn into_stream_v1(generator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = generator.py();
    let stream = pyo3_async_runtimes::tokio::into_stream_v1(generator)?;
    future_into_py(py, async move { Ok(stream.count().await) })
}

/// Counts the items of `generator`.
#[pyfunction]
pub(crate) fn into_stream_v2(generator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = generator.py();
    let stream = pyo3_async_runtimes::tokio::into_stream_v2(generator)?;
    future_into_py(py, async move { Ok(stream.count().await) })
}

/// Extracts the items of `generator` as numbers: on the loop, where the bridge can. Counts them.
#[pyfunction]
pub(crate) fn extract_items(generator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = generator.py();
    #[cfg(feature = "calls")]
    let stream = pyo3_async_runtimes::tokio::into_stream(generator)?.extract::<usize>();
    #[cfg(not(feature = "calls"))]
    let stream = pyo3_async_runtimes::tokio::into_stream_v2(generator)?
        .map(|item| Python::attach(|py| item.extract::<usize>(py)));
    future_into_py(
        py,
        stream.try_fold(0, |count, _| async move { Ok(count + 1) }),
    )
}

/// Awaits `__anext__()` of `generator` for each item, as a crossing of its own. Counts the items.
#[pyfunction]
pub(crate) fn await_each_item(generator: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = generator.py();
    let generator = Arc::new(generator.unbind());
    future_into_py(py, async move {
        let mut count = 0_usize;
        loop {
            let next = next_item(Arc::clone(&generator));
            match next.await {
                Ok(_) => count += 1,
                Err(error)
                    if Python::attach(|py| error.is_instance_of::<PyStopAsyncIteration>(py)) =>
                {
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    })
}

/// Calls on the loop's thread, where the bridge can.
#[cfg(feature = "calls")]
async fn next_item(generator: Arc<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    use pyo3_async_runtimes::tokio::run_coroutine;
    run_coroutine(move |py| generator.bind(py).call_method0("__anext__")).await
}

#[cfg(not(feature = "calls"))]
async fn next_item(generator: Arc<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let next = Python::attach(|py| {
        let next = generator.bind(py).call_method0("__anext__")?;
        pyo3_async_runtimes::tokio::into_future(next)
    })?;
    next.await
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

/// The same, of which ten are ready at once.
#[pyfunction]
pub(crate) fn number_bursts(count: usize) -> Numbers {
    let numbers = stream::iter(0..count).then(in_bursts);
    Numbers(Arc::new(Mutex::new(Box::pin(numbers))))
}

/// An async generator of the numbers below `count`.
#[cfg(feature = "calls")]
#[pyfunction]
pub(crate) fn generate(py: Python<'_>, count: usize) -> PyResult<Bound<'_, PyAny>> {
    let numbers = stream::iter(0..count).map(PyResult::Ok);
    pyo3_async_runtimes::tokio::into_async_generator(py, numbers)
}

/// An async generator of the numbers below `count`, of which ten are ready at once.
#[cfg(feature = "calls")]
#[pyfunction]
pub(crate) fn generate_bursts(py: Python<'_>, count: usize) -> PyResult<Bound<'_, PyAny>> {
    let numbers = stream::iter(0..count).then(in_bursts).map(PyResult::Ok);
    pyo3_async_runtimes::tokio::into_async_generator(py, numbers)
}

/// Yields to the runtime before each tenth number.
async fn in_bursts(number: usize) -> usize {
    if number % 10 == 0 {
        tokio::task::yield_now().await;
    }
    number
}

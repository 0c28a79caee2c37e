//! The end of the runtime and of the process.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_asyncio::tokio as bridge;

use crate::ledger::recorded;

/// A loop whose thread also runs the Rust futures.
#[pyfunction]
pub(crate) fn new_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::new_event_loop(py)
}

/// Shuts the runtime down, and returns whether it ended in time.
#[pyfunction]
pub(crate) fn shutdown(seconds: f64) -> bool {
    bridge::shutdown(Duration::from_secs_f64(seconds))
}

/// Chooses the worker threads of the next runtime.
#[pyfunction]
pub(crate) fn init_runtime(worker_threads: usize) -> PyResult<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(worker_threads).enable_all();
    bridge::try_init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))
}

/// Names the threads of the next runtime by a function, which is called while the runtime is built.
#[pyfunction]
pub(crate) fn init_runtime_named_by(function: Py<PyAny>) -> PyResult<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name_fn(move || {
        let name = Python::attach(|py| function.call0(py)?.extract(py));
        name.expect("the function returns a name")
    });
    bridge::try_init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))
}

/// The number of worker threads of the runtime.
#[pyfunction]
pub(crate) fn workers() -> usize {
    bridge::handle().metrics().num_workers()
}

/// A Rust future that calls a function for ever, attached on a thread of the runtime.
#[pyfunction]
pub(crate) fn call_for_ever(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        loop {
            Python::attach(|py| function.call0(py))?;
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "it gives the future its output type")]
        PyResult::Ok(())
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// A Rust future that has the event loop call a function for ever, a hundred times at once.
#[pyfunction]
pub(crate) fn call_on_loop_for_ever(
    py: Python<'_>,
    function: Py<PyAny>,
) -> PyResult<Bound<'_, PyAny>> {
    let function = Arc::new(function);
    for_ever(py, move || {
        let function = Arc::clone(&function);
        bridge::call_soon(move |py| function.call0(py))
    })
}

/// A Rust future that has the event loop run a coroutine function for ever, a hundred times at once.
#[pyfunction]
pub(crate) fn run_coroutines_for_ever(
    py: Python<'_>,
    function: Py<PyAny>,
) -> PyResult<Bound<'_, PyAny>> {
    let function = Arc::new(function);
    for_ever(py, move || {
        let function = Arc::clone(&function);
        bridge::run_coroutine(move |py| function.bind(py).call0())
    })
}

fn for_ever<F>(py: Python<'_>, call: impl Fn() -> F + Send + 'static) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<Py<PyAny>>> + Send,
{
    let future = async move {
        loop {
            let calls: Vec<_> = std::iter::repeat_with(&call).take(100).collect();
            for call in calls {
                call.await?;
            }
        }
        #[expect(unreachable_code, reason = "it gives the future its output type")]
        PyResult::Ok(())
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

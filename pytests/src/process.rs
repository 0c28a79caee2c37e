//! The end of the runtime and of the process.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_asyncio::tokio as bridge;

use crate::ledger::recorded;

/// Ends the runtime, and says whether all of it has ended in time.
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

/// Has the threads of the next runtime named by a function, which is called while it is built.
#[pyfunction]
pub(crate) fn init_runtime_named_by(function: Py<PyAny>) -> PyResult<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name_fn(move || {
        let name = Python::attach(|py| function.call0(py)?.extract(py));
        name.expect("the function gives a name")
    });
    bridge::try_init(builder).map_err(|late| PyRuntimeError::new_err(late.to_string()))
}

/// How many worker threads the runtime has.
#[pyfunction]
pub(crate) fn workers() -> usize {
    bridge::handle().metrics().num_workers()
}

/// A Rust future that calls a function again and again, attached on a thread of the runtime, and never ends.
#[pyfunction]
pub(crate) fn call_for_ever(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        loop {
            Python::attach(|py| function.call0(py))?;
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "it says what the future would return")]
        PyResult::Ok(())
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// Calls a function, attached on one of the runtime's threads for blocking work, of which nobody waits for the end.
#[pyfunction]
pub(crate) fn call_in_blocking_thread(function: Py<PyAny>) {
    bridge::handle().spawn_blocking(move || Python::attach(|py| function.call0(py)));
}

/// From now on the runtime cannot be ended, as somebody has a reference to it.
#[pyfunction]
pub(crate) fn lend_runtime() {
    let _runtime = bridge::get_runtime();
}

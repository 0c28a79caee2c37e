//! Calls that block on a Rust future and react to signals, and functions with a second one that blocks.

use std::future::pending;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_asyncio::tokio as bridge;
use smol::stream::{self, Stream, StreamExt as _};

use crate::ledger::recorded;

/// Calls a Python function, and never ends.
async fn never_after(function: Py<PyAny>) -> PyResult<()> {
    // Yield first, so that the caller is no longer on the stack.
    tokio::task::yield_now().await;
    Python::attach(|py| function.call0(py))?;
    pending().await
}

/// `block_on` a Rust future that calls a Python function, and never ends.
#[pyfunction]
pub(crate) fn block_on(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    bridge::block_on(py, recorded(Arc::default(), never_after(function)))
}

/// `block_on` a Rust future that is woken again and again, and never ends.
#[pyfunction]
pub(crate) fn block_on_busy(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    let future = async move {
        Python::attach(|py| function.call0(py))?;
        loop {
            tokio::task::yield_now().await;
        }
    };
    bridge::block_on(py, recorded(Arc::default(), future))
}

/// `block_on` a Rust future that calls a Python function, and ends.
#[pyfunction]
pub(crate) fn block_on_call(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let future = async move { Python::attach(|py| function.call0(py)) };
    bridge::block_on(py, recorded(Arc::default(), future))
}

/// `block_on` a Rust future that yields to the runtime `count` times, and then returns the value.
#[pyfunction]
pub(crate) fn block_on_turns(
    py: Python<'_>,
    count: usize,
    value: Py<PyAny>,
) -> PyResult<Py<PyAny>> {
    let future = async move {
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
        Ok(value)
    };
    bridge::block_on(py, recorded(Arc::default(), future))
}

/// `block_on` a Rust future that awaits a Python awaitable of the current loop.
#[pyfunction]
pub(crate) fn block_on_python(py: Python<'_>, awaitable: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let task = bridge::into_future(awaitable)?;
    bridge::block_on(py, recorded(Arc::default(), task))
}

/// `block_on` a task of the runtime that awaits the result of a Python function on the loop of this thread.
#[pyfunction]
pub(crate) fn block_on_task(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let locals = bridge::get_current_locals(py)?;
    let task = bridge::scope(locals, async move {
        let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
        task.await
    });
    let future = async {
        let joined = tokio::spawn(task).await;
        joined.unwrap_or_else(|error| Err(PyRuntimeError::new_err(error.to_string())))
    };
    bridge::block_on(py, recorded(Arc::default(), future))
}

/// Like `block_on`, with `run`.
#[pyfunction]
pub(crate) fn run(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    bridge::run(py, recorded(Arc::default(), never_after(function)))
}

/// Like `block_on`, with `run_until_complete`.
#[pyfunction]
pub(crate) fn run_until_complete(
    event_loop: Bound<'_, PyAny>,
    function: Py<PyAny>,
) -> PyResult<()> {
    bridge::run_until_complete(event_loop, recorded(Arc::default(), never_after(function)))
}

/// `run` with a Rust future that awaits the result of a Python function.
#[pyfunction]
pub(crate) fn run_python(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let future = async move {
        let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
        task.await
    };
    bridge::run(py, recorded(Arc::default(), future))
}

#[pyo3_asyncio::tokio::pyfunction(blocking = "delayed_now")]
async fn delayed(value: u32) -> u32 {
    tokio::task::yield_now().await;
    value
}

/// The two functions, wrapped one by one.
#[pyfunction]
pub(crate) fn wrapped_functions(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let functions = [
        wrap_pyfunction!(delayed, py)?,
        wrap_pyfunction!(delayed_now, py)?,
    ];
    Ok(functions.map(Bound::into_any).into())
}

/// Yields two numbers, and appends to `drops` where it is dropped.
#[pyo3_asyncio::tokio::pyfunction(blocking = "needs_runtime_now")]
pub(crate) fn needs_runtime(drops: Py<PyList>) -> impl Stream<Item = u32> {
    struct NeedsRuntime(Py<PyList>);

    impl Drop for NeedsRuntime {
        fn drop(&mut self) {
            let place = match tokio::runtime::Handle::try_current() {
                Ok(_) => "in the runtime",
                Err(_) => "outside",
            };
            // Another thread could not attach while this one is.
            let elsewhere = std::thread::spawn(|| Python::attach(|_| ()));
            elsewhere.join().expect("it does not panic");
            Python::attach(|py| self.0.bind(py).append(place)).expect("a list takes it");
        }
    }

    let needs_runtime = NeedsRuntime(drops);
    stream::iter(0..2).inspect(move |_| {
        let _ = &needs_runtime;
    })
}

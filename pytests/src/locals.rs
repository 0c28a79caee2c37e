//! The locals of Rust tasks, and exported functions that call each other.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;
use smol::future::yield_now;
use tokio::sync::oneshot;

use crate::bridge;
use crate::ledger::recorded;

/// `get_current_loop` of the caller.
#[pyfunction]
pub(crate) fn current_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::get_current_loop(py)
}

/// The context of `get_current_locals` of the caller.
#[pyfunction]
pub(crate) fn current_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(bridge::get_current_locals(py)?.context(py))
}

/// `get_running_loop`.
#[pyfunction]
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_asyncio::get_running_loop(py)
}

/// A Rust future that calls a Python function on a thread of the runtime and returns its result, without awaiting it.
#[pyfunction]
pub(crate) fn call_inside(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        // Yield first, so that the caller is no longer on the stack.
        yield_now().await;
        Python::attach(|py| function.call0(py))
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// Like [`call_inside`], in a Rust task without locals.
#[pyfunction]
pub(crate) fn call_in_bare_task(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        let (returned, result) = oneshot::channel();
        bridge::spawn(async move {
            // The receiver may be dropped.
            let _ = returned.send(Python::attach(|py| function.call0(py)));
        });
        result
            .await
            .map_err(|_| PyRuntimeError::new_err("the runtime dropped the task"))?
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// Calls a Python function inside `scope` on this thread, detached until then, and awaits its result.
#[pyfunction]
#[pyo3(signature = (event_loop, function, context=None))]
pub(crate) fn run_in_scope(
    py: Python<'_>,
    event_loop: Bound<'_, PyAny>,
    function: Py<PyAny>,
    context: Option<Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let mut locals: TaskLocals = event_loop.into();
    if let Some(context) = context {
        locals = locals.with_context(context);
    }
    let future = bridge::scope(locals, async move {
        let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
        task.await
    });
    py.detach(|| bridge::block_on(future))
}

/// Sleeps in Python, as the guide's first nested function does.
#[pyfunction]
pub(crate) fn sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        let task = Python::attach(|py| {
            bridge::into_future(py.import("asyncio")?.call_method1("sleep", (seconds,))?)
        })?;
        task.await
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// Calls [`sleep`] from a Rust task, as the guide's second nested function does.
#[pyfunction]
pub(crate) fn wrap_sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        let task = Python::attach(|py| bridge::into_future(sleep(py, seconds)?))?;
        task.await
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

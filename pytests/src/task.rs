//! Python awaitables that Rust awaits.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_asyncio::{PyTask, TaskLocals};
use smol::future::yield_now;

use crate::bridge;
use crate::ledger::recorded;

/// A Python awaitable that Rust has started.
#[pyclass(frozen)]
pub(crate) struct Task(Mutex<Option<PyTask>>);

impl Task {
    fn take(&self) -> PyResult<PyTask> {
        let task = self.0.lock().expect("it is never poisoned").take();
        task.ok_or_else(|| PyRuntimeError::new_err("the task has been used before"))
    }
}

#[pymethods]
impl Task {
    /// Returns a Rust future that awaits it.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        bridge::future_into_py(py, recorded(Arc::default(), self.take()?))
    }

    /// Awaits it on this thread, detached.
    fn block(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let task = self.take()?;
        py.detach(|| bridge::block_on(task))
    }

    /// Drops it, on this thread.
    fn drop(&self) -> PyResult<()> {
        drop(self.take()?);
        Ok(())
    }

    /// Detaches it.
    fn detach(&self) -> PyResult<()> {
        self.take()?.detach();
        Ok(())
    }
}

/// Starts an awaitable from Rust: on the current loop, on the given loop, or on the given loop in a context.
#[pyfunction]
#[pyo3(signature = (awaitable, event_loop=None, context=None))]
pub(crate) fn into_future(
    awaitable: Bound<'_, PyAny>,
    event_loop: Option<Bound<'_, PyAny>>,
    context: Option<Bound<'_, PyAny>>,
) -> PyResult<Task> {
    let task = match (event_loop, context) {
        (None, None) => bridge::into_future(awaitable)?,
        (Some(event_loop), None) => pyo3_asyncio::into_future_with_loop(event_loop, awaitable)?,
        (None, Some(context)) => {
            let locals = TaskLocals::with_running_loop(context.py())?.with_context(context);
            pyo3_asyncio::into_future_with_locals(&locals, awaitable)?
        }
        (Some(event_loop), Some(context)) => {
            let locals = TaskLocals::new(event_loop).with_context(context);
            pyo3_asyncio::into_future_with_locals(&locals, awaitable)?
        }
    };
    Ok(Task(Mutex::new(Some(task))))
}

/// A Rust future that calls a Python function on a thread of the runtime and awaits its result.
#[pyfunction]
pub(crate) fn await_inside(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        // Yield first, so that the caller is no longer on the stack.
        yield_now().await;
        let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
        task.await
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

/// A Rust future that awaits a Python awaitable, but drops it after so many turns of the runtime. It returns the result, or
/// `None` if it dropped the awaitable.
#[pyfunction]
pub(crate) fn await_for_turns<'py>(
    py: Python<'py>,
    awaitable: Bound<'py, PyAny>,
    count: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let task = bridge::into_future(awaitable)?;
    let future = async move {
        let mut task = pin!(task);
        for _ in 0..count {
            let poll = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx))).await;
            if let Poll::Ready(result) = poll {
                return result.map(Some);
            }
            yield_now().await;
        }
        Ok(None)
    };
    bridge::future_into_py(py, recorded(Arc::default(), future))
}

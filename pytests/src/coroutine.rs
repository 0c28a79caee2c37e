//! Rust futures as coroutines, and with a first poll on the caller's thread.

use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_asyncio::CancelHandle;
use pyo3_asyncio::custom::{self, Runtime};
use smol::future::yield_now;

use crate::bridge;
use crate::gate::Gate;
use crate::ledger::recorded;

/// A coroutine that yields to the runtime `count` times, and then returns the value. It has its own name.
#[pyfunction]
pub(crate) fn lazy_turns(
    py: Python<'_>,
    count: usize,
    value: Py<PyAny>,
) -> PyResult<Bound<'_, PyAny>> {
    let future = recorded(Arc::default(), turns(count, value));
    bridge::into_coroutine(py, async move {
        let value = future.await?;
        Ok(value)
    })
}

/// A coroutine that has its value.
#[pyfunction]
pub(crate) fn ready(py: Python<'_>, value: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_asyncio::ready(py, value)
}

/// Like [`lazy_turns`], with the first poll on this thread.
#[pyfunction]
pub(crate) fn eager_turns(
    py: Python<'_>,
    count: usize,
    value: Py<PyAny>,
) -> PyResult<Bound<'_, PyAny>> {
    let future = recorded(Arc::default(), turns(count, value));
    bridge::eager_future_into_py(py, async move {
        let value = future.await?;
        Ok(value)
    })
}

async fn turns(count: usize, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
    for _ in 0..count {
        yield_now().await;
    }
    Ok(value)
}

/// A coroutine that calls a Python function in its first poll and returns its result, without awaiting it.
#[pyfunction]
pub(crate) fn lazy_call(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move { Python::attach(|py| function.call0(py)) };
    bridge::into_coroutine(py, recorded(Arc::default(), future))
}

/// Like [`lazy_call`], with the first poll on this thread.
#[pyfunction]
pub(crate) fn eager_call(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move { Python::attach(|py| function.call0(py)) };
    bridge::eager_future_into_py(py, recorded(Arc::default(), future))
}

static LET_GO: AtomicBool = AtomicBool::new(false);

/// Blocks in its first poll, on this thread and detached, until another thread calls `let_go`. Returns whether one did.
#[pyfunction]
pub(crate) fn eager_block(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let future = async { Ok(is_let_go()) };
    bridge::eager_future_into_py(py, recorded(Arc::default(), future))
}

/// Blocks until another thread calls `let_go`. Returns whether one did.
pub(crate) fn is_let_go() -> bool {
    LET_GO.store(false, Ordering::Relaxed);
    (0..10_000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        LET_GO.load(Ordering::Relaxed)
    })
}

/// Ends [`eager_block`] and the like.
#[pyfunction]
pub(crate) fn let_go() {
    LET_GO.store(true, Ordering::Relaxed);
}

/// Calls a Python function in the first poll, on this thread, and awaits its result.
#[pyfunction]
pub(crate) fn eager_await(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let future = async move {
        let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
        task.await
    };
    bridge::eager_future_into_py(py, recorded(Arc::default(), future))
}

/// A future that wakes itself `wakes` times during one of its polls, from this thread or another, and is ready in the next
/// poll. It returns the number of its polls.
#[pyfunction]
pub(crate) fn eager_wakes(
    py: Python<'_>,
    poll: usize,
    wakes: usize,
    from_another_thread: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let mut polls = 0;
    let future = poll_fn(move |cx| {
        polls += 1;
        if polls > poll {
            return Poll::Ready(Ok(polls));
        }
        if polls == poll {
            let waker = cx.waker().clone();
            let wake = move || (0..wakes).for_each(|_| waker.wake_by_ref());
            if from_another_thread {
                let woken = std::thread::spawn(wake).join();
                woken.expect("waking does not panic");
            } else {
                wake();
            }
        }
        Poll::Pending
    });
    bridge::eager_future_into_py(py, recorded(Arc::default(), future))
}

/// A coroutine that receives cancellations and continues: it appends each to `log` until the gate opens.
#[pyfunction]
pub(crate) fn persistent<'py>(
    py: Python<'py>,
    gate: &Bound<'py, Gate>,
    log: Py<PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    let future = gate.get().future()?;
    bridge::into_cancellable_coroutine(py, |mut cancel| async move {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                biased;
                cancelled = cancel.cancelled() => {
                    Python::attach(|py| log.bind(py).append(cancelled.value(py)))?;
                }
                outcome = &mut future => return outcome,
            }
        }
    })
}

/// A coroutine that drops its cancel handle, and then awaits the gate.
#[pyfunction]
pub(crate) fn drops_handle_at_once<'py>(
    py: Python<'py>,
    gate: &Bound<'py, Gate>,
) -> PyResult<Bound<'py, PyAny>> {
    let future = gate.get().future()?;
    bridge::into_cancellable_coroutine(py, |cancel| {
        drop(cancel);
        future
    })
}

/// A coroutine that keeps its cancel handle, never asks it, and ends as the gate does.
#[pyfunction]
pub(crate) fn never_asks<'py>(
    py: Python<'py>,
    gate: &Bound<'py, Gate>,
) -> PyResult<Bound<'py, PyAny>> {
    let future = gate.get().future()?;
    bridge::into_cancellable_coroutine(py, |cancel| async move {
        let _cancel = cancel;
        future.await
    })
}

/// A coroutine that drops its cancel handle when the first gate opens, and then awaits the second.
#[pyfunction]
pub(crate) fn drops_handle_at_gate<'py>(
    py: Python<'py>,
    first: &Bound<'py, Gate>,
    second: &Bound<'py, Gate>,
) -> PyResult<Bound<'py, PyAny>> {
    let (first, second) = (first.get().future()?, second.get().future()?);
    bridge::into_cancellable_coroutine(py, |cancel| async move {
        first.await?;
        drop(cancel);
        second.await
    })
}

/// A cancel handle outside of its coroutine.
#[pyclass(frozen)]
struct Handle(Mutex<Option<CancelHandle>>);

#[pymethods]
impl Handle {
    fn drop(&self) {
        self.0.lock().expect("it is never poisoned").take();
    }
}

/// A coroutine that awaits the gate, and its cancel handle.
#[pyfunction]
pub(crate) fn gives_its_handle_away<'py>(
    py: Python<'py>,
    gate: &Bound<'py, Gate>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let future = gate.get().future()?;
    let mut handle = None;
    let coroutine = bridge::into_cancellable_coroutine(py, |cancel| {
        handle = Some(cancel);
        future
    })?;
    let handle = Bound::new(py, Handle(Mutex::new(handle)))?;
    Ok((coroutine, handle.into_any()))
}

/// A coroutine that awaits the gate, and asks only then whether it was cancelled.
#[pyfunction]
pub(crate) fn asks_afterwards<'py>(
    py: Python<'py>,
    gate: &Bound<'py, Gate>,
) -> PyResult<Bound<'py, PyAny>> {
    let future = gate.get().future()?;
    bridge::into_cancellable_coroutine(py, |mut cancel| async move {
        future.await?;
        if cancel.is_cancelled() {
            // A cancellation from before is ready in this poll.
            return Err(cancel.cancelled().await);
        }
        Ok("not cancelled")
    })
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// A coroutine whose future is never ready and panics when it is dropped.
#[pyfunction]
pub(crate) fn panics_when_dropped(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let bomb = PanicsWhenDropped;
    let future = async move {
        let _bomb = bomb;
        pending::<PyResult<()>>().await
    };
    bridge::into_coroutine(py, recorded(Arc::default(), future))
}

/// A runtime that panics instead of spawning a task.
struct Refuses;

impl Runtime for Refuses {
    fn spawn<F>(_: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        panic!("no more tasks");
    }
}

/// A coroutine on a runtime that cannot spawn its task.
#[pyfunction]
pub(crate) fn refused(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let future = recorded(Arc::default(), pending::<PyResult<()>>());
    custom::into_coroutine::<Refuses, _, _>(py, future)
}

//! A runtime that a test drives on the loop's thread: after `run_ready` it is idle, so that a test can count turns.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3_asyncio::__private::{
    Arguments, Coroutine, CoroutineOptions, Owning, cancellable_coroutine, here,
};
use pyo3_asyncio::custom::Runtime;
use smol::Executor;

use crate::bridge;
use crate::ledger::recorded;

static EXECUTOR: Executor<'static> = Executor::new();

struct OnTheLoop;

impl Runtime for OnTheLoop {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        EXECUTOR.spawn(future).detach();
    }
}

/// Polls the ready tasks until none is ready.
#[pyfunction]
pub(crate) fn run_ready(py: Python<'_>) {
    py.detach(|| while EXECUTOR.try_tick() {});
}

/// A coroutine on that runtime, which awaits the result of `function`. It passes a cancellation to `cancel`, which returns
/// whether it can still be delivered. If not, the coroutine itself ends with the cancellation.
#[pyfunction]
#[pyo3(signature = (function, cancel, *, eager_start))]
pub(crate) fn around(
    py: Python<'_>,
    function: Py<PyAny>,
    cancel: Py<PyAny>,
    eager_start: bool,
) -> PyResult<Coroutine<'_, Py<PyAny>>> {
    // The attributes expand to this. They support only the runtimes with a feature, and no function combines an eager start
    // with a cancel handle.
    let options = CoroutineOptions {
        names: || ("rust_future", None),
        made_at: here(),
        eager_start,
        detach_on_cancel: false,
        share_context: false,
        arguments: Arguments::new(),
    };
    cancellable_coroutine::<OnTheLoop, Owning, _, _, _>(py, options, |mut handle| {
        recorded(Arc::default(), async move {
            let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
            let mut task = pin!(task);
            loop {
                tokio::select! {
                    biased;
                    cancelled = handle.cancelled() => {
                        let taken = Python::attach(|py| {
                            cancel.bind(py).call1((cancelled.value(py),))?.extract::<bool>()
                        })?;
                        if !taken {
                            // The task has ended. Its own error takes precedence.
                            return task.await.and(Err(cancelled));
                        }
                    }
                    outcome = &mut task => return outcome,
                }
            }
        })
    })
}

//! A runtime that the event loop turns: after `run_ready` nothing of it has anything to do, so that a test can count turns.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3_asyncio::__private::{
    Arguments, Coroutine, CoroutineOptions, Owning, cancellable_coroutine,
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

/// Polls what is ready until nothing is.
#[pyfunction]
pub(crate) fn run_ready(py: Python<'_>) {
    py.detach(|| while EXECUTOR.try_tick() {});
}

/// A coroutine on that runtime. It awaits what the function returns, and gives `cancel` what it is cancelled with meanwhile, which
/// says whether there is anything left to cancel. Where there is not, the coroutine is what ends with it.
#[pyfunction]
#[pyo3(signature = (function, cancel, *, eager_start))]
pub(crate) fn around(
    py: Python<'_>,
    function: Py<PyAny>,
    cancel: Py<PyAny>,
    eager_start: bool,
) -> PyResult<Coroutine<'_, Py<PyAny>>> {
    // What the attributes expand to: they know the runtimes with a feature only, and are the one way to an eager start that
    // can be cancelled.
    let options = CoroutineOptions {
        names: || ("rust_future", None),
        eager_start,
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
                            // It is over: an error of its own goes before.
                            return task.await.and(Err(cancelled));
                        }
                    }
                    outcome = &mut task => return outcome,
                }
            }
        })
    })
}

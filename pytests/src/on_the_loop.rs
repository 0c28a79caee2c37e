//! A runtime that the event loop turns: after `run_ready` nothing of it has anything to do, so that a test can count turns.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3_asyncio::generic::{self, Runtime};
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

/// A coroutine on that runtime. It awaits what the function returns, and tells `cancel` of what it is cancelled with meanwhile.
#[pyfunction]
pub(crate) fn around(
    py: Python<'_>,
    function: Py<PyAny>,
    cancel: Py<PyAny>,
) -> PyResult<Bound<'_, PyAny>> {
    generic::into_cancellable_coroutine::<OnTheLoop, _, _>(py, |mut handle| {
        recorded(Arc::default(), async move {
            let task = Python::attach(|py| bridge::into_future(function.bind(py).call0()?))?;
            let mut task = pin!(task);
            loop {
                tokio::select! {
                    biased;
                    cancelled = handle.cancelled() => {
                        Python::attach(|py| cancel.call1(py, (cancelled.value(py),)))?;
                    }
                    outcome = &mut task => return outcome,
                }
            }
        })
    })
}

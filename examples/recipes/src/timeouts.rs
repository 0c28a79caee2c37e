//! Timeouts, on either side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3_asyncio::tokio::run_coroutine;
use tokio::time;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts what is running, for the tests.
struct Running;

impl Running {
    fn start() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Python's timeout: `asyncio.timeout` and `asyncio.wait_for` cancel the coroutine, which drops this future.
#[pyo3_asyncio::tokio::pyfunction]
pub(crate) async fn sleep(seconds: f64) {
    let _running = Running::start();
    time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// Rust's timeout around Rust: it drops the future inside, and is Python's `TimeoutError`.
#[pyo3_asyncio::tokio::pyfunction]
pub(crate) async fn fetch_within(seconds: f64, takes: f64) -> PyResult<usize> {
    let fetch = async {
        sleep(takes).await;
        Ok(RUNNING.load(Ordering::Relaxed))
    };
    let limit = Duration::from_secs_f64(seconds);
    let fetched = time::timeout(limit, fetch).await;
    fetched.unwrap_or_else(|_| Err(late(limit)))
}

/// Rust's timeout around Python: dropping the task cancels it on its loop.
#[pyo3_asyncio::tokio::pyfunction]
pub(crate) async fn call_within(seconds: f64, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let task = run_coroutine(move |py| function.bind(py).call0());
    let limit = Duration::from_secs_f64(seconds);
    let answer = time::timeout(limit, task).await;
    answer.unwrap_or_else(|_| Err(late(limit)))
}

fn late(limit: Duration) -> PyErr {
    PyTimeoutError::new_err(format!("nothing came within {limit:?}"))
}

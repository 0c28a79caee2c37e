//! Rust futures that Python awaits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::task::yield_now;

/// Sleeps that were polled and have not ended yet.
static SLEEPING: AtomicUsize = AtomicUsize::new(0);

/// A future that is ready at its first poll.
#[pyfunction]
pub(crate) fn ready(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async { Ok(1) })
}

/// A future that yields to its runtime once.
#[pyfunction]
pub(crate) fn yields_once(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async {
        yield_now().await;
        Ok(1)
    })
}

/// A future that spawns a task and awaits it.
#[pyfunction]
pub(crate) fn awaits_a_task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async {
        let task = tokio::spawn(async { 1 });
        task.await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    })
}

/// A future that keeps a processor busy.
#[pyfunction]
pub(crate) fn computes(py: Python<'_>, microseconds: u64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(microseconds) {
            std::hint::spin_loop();
        }
        Ok(1)
    })
}

/// A sleep of the runtime, which is counted while it lasts.
#[pyfunction]
pub(crate) fn sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        SLEEPING.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        SLEEPING.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    })
}

/// How many sleeps are in flight.
#[pyfunction]
pub(crate) fn sleeping() -> usize {
    SLEEPING.load(Ordering::Relaxed)
}

/// Sleeps 1 ms again and again, for `seconds` in all. The result says how many milliseconds late each sleep ended.
#[pyfunction]
pub(crate) fn timer_delays(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    const PERIOD: Duration = Duration::from_millis(1);
    future_into_py(py, async move {
        let start = Instant::now();
        let mut delays = Vec::new();
        while start.elapsed() < Duration::from_secs_f64(seconds) {
            let due = Instant::now() + PERIOD;
            tokio::time::sleep(PERIOD).await;
            delays.push(due.elapsed().as_secs_f64() * 1e3);
        }
        Ok(delays)
    })
}

//! The workload: compiled once as a child of `peer` and once as a child of `ours`, whose `bridge` it uses.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use pyo3::prelude::*;

use super::bridge;

/// Sleeps that were polled and have not ended yet.
static SLEEPING: AtomicUsize = AtomicUsize::new(0);

/// A future that is ready as soon as the runtime polls it.
#[pyfunction]
fn ready(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::tokio::future_into_py(py, async { Ok(1) })
}

/// A sleep of the runtime's.
#[pyfunction]
fn sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let duration = Duration::from_secs_f64(seconds);
    bridge::tokio::future_into_py(py, napping(duration))
}

/// Is counted while it sleeps.
pub(super) async fn napping(duration: Duration) -> PyResult<()> {
    SLEEPING.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(duration).await;
    SLEEPING.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

/// How many sleeps are in flight.
#[pyfunction]
fn sleeping() -> usize {
    SLEEPING.load(Ordering::Relaxed)
}

/// One Rust future that calls `function` and awaits what it gives, `count` times, one at a time.
#[pyfunction]
fn await_in_turn(py: Python<'_>, function: Py<PyAny>, count: usize) -> PyResult<Bound<'_, PyAny>> {
    bridge::tokio::future_into_py(py, async move {
        for _ in 0..count {
            Python::attach(|py| bridge::tokio::into_future(function.bind(py).call0()?))?.await?;
        }
        Ok(())
    })
}

/// One Rust future that calls `function` `count` times and awaits all that it gave at once.
#[pyfunction]
fn await_at_once(py: Python<'_>, function: Py<PyAny>, count: usize) -> PyResult<Bound<'_, PyAny>> {
    bridge::tokio::future_into_py(py, async move {
        let futures = Python::attach(|py| {
            let function = function.bind(py);
            (0..count)
                .map(|_| bridge::tokio::into_future(function.call0()?))
                .collect::<PyResult<Vec<_>>>()
        })?;
        try_join_all(futures).await?;
        Ok(())
    })
}

/// Adds the workload to the module of one side.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(ready, module)?)?;
    module.add_function(wrap_pyfunction!(sleep, module)?)?;
    module.add_function(wrap_pyfunction!(sleeping, module)?)?;
    module.add_function(wrap_pyfunction!(await_in_turn, module)?)?;
    module.add_function(wrap_pyfunction!(await_at_once, module)?)
}

//! The workload on this library, and what it has beyond the workload that both can run.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3_asyncio as bridge;

#[expect(
    clippy::duplicate_mod,
    reason = "one source on two bridges is the point"
)]
#[path = "workload.rs"]
mod workload;

/// A future that is ready at its first poll, which happens on the caller's thread.
#[pyfunction]
fn eager_future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::tokio::eager_future_into_py(py, async { Ok(1) })
}

/// The same as a coroutine.
#[bridge::tokio::pyfunction(eager_start)]
async fn eager_coroutine() -> i32 {
    1
}

/// A coroutine whose future is ready as soon as the runtime polls it.
#[bridge::tokio::pyfunction]
async fn coroutine() -> i32 {
    1
}

/// The same sleep as a coroutine.
#[pyfunction]
fn sleep_coroutine(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let duration = Duration::from_secs_f64(seconds);
    bridge::tokio::into_coroutine(py, workload::napping(duration))
}

/// Adds all of it to the module of this side.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    workload::register(module)?;
    module.add_function(wrap_pyfunction!(eager_future, module)?)?;
    module.add_function(wrap_pyfunction!(eager_coroutine, module)?)?;
    module.add_function(wrap_pyfunction!(coroutine, module)?)?;
    module.add_function(wrap_pyfunction!(sleep_coroutine, module)?)
}

//! The workload on this library.

use pyo3_asyncio as bridge;

#[expect(
    clippy::duplicate_mod,
    reason = "one source on two bridges is the point"
)]
#[path = "workload.rs"]
mod workload;


use bridge::__private::{CoroutineOptions, coroutine};
use pyo3::prelude::*;

/// A future that is ready at its first poll, which happens on the caller's thread.
#[pyfunction]
fn eager_future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::tokio::eager_future_into_py(py, async { Ok(1) })
}

/// The same as a coroutine.
#[pyfunction]
fn eager_coroutine(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let o = CoroutineOptions { names: || ("eager_coroutine", "eager_coroutine"), eager_start: true };
    coroutine::<bridge::tokio::Tokio, _, _>(py, o, async { Ok(1) })
}

/// A future that is ready as soon as the runtime polls it, as a coroutine.
#[pyfunction(name = "coroutine")]
fn lazy_coroutine(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    bridge::tokio::into_coroutine(py, async { Ok(1) })
}

/// A sleep of the runtime's, as a coroutine.
#[pyfunction]
fn sleep_coroutine(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let duration = std::time::Duration::from_secs_f64(seconds);
    bridge::tokio::into_coroutine(py, workload::napping(duration))
}

/// What this library has beyond the common workload.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    workload::register(module)?;
    module.add_function(wrap_pyfunction!(eager_future, module)?)?;
    module.add_function(wrap_pyfunction!(eager_coroutine, module)?)?;
    module.add_function(wrap_pyfunction!(lazy_coroutine, module)?)?;
    module.add_function(wrap_pyfunction!(sleep_coroutine, module)?)
}

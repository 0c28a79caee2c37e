//! "Awaiting a Rust Future in Python".

use pyo3::prelude::*;

/// Sleep for 1 second
async fn rust_sleep() {
    async_std::task::sleep(std::time::Duration::from_secs(1)).await;
}

#[pyfunction]
fn call_rust_sleep(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_asyncio::async_std::future_into_py(py, async move {
        rust_sleep().await;
        Ok(Python::attach(|py| py.None()))
    })
}

#[pymodule(gil_used = false)]
fn example(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(call_rust_sleep, m)?)?;
    Ok(())
}

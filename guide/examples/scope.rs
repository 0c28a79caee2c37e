//! "The Solution", second module: the loop is stored in task-local data.

use pyo3::prelude::*;

#[pyfunction]
fn sleep(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // get the current event loop through task-local data
    // OR `asyncio.get_running_loop`
    let current_loop = pyo3_asyncio::tokio::get_current_loop(py)?;

    pyo3_asyncio::tokio::future_into_py_with_loop(
        current_loop.clone(),
        // Store the current loop in task-local data
        pyo3_asyncio::tokio::scope(current_loop.into(), async move {
            let py_sleep = Python::attach(|py| {
                pyo3_asyncio::into_future_with_loop(
                    // Now we can get the current loop through task-local data
                    pyo3_asyncio::tokio::get_current_loop(py)?,
                    py.import("asyncio")?.call_method1("sleep", (1,))?,
                )
            })?;

            py_sleep.await?;

            Ok(Python::attach(|py| py.None()))
        }),
    )
}

#[pyfunction]
fn wrap_sleep(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // get the current event loop through task-local data
    // OR `asyncio.get_running_loop`
    let current_loop = pyo3_asyncio::tokio::get_current_loop(py)?;

    pyo3_asyncio::tokio::future_into_py_with_loop(
        current_loop.clone(),
        // Store the current loop in task-local data
        pyo3_asyncio::tokio::scope(current_loop.into(), async move {
            let py_sleep = Python::attach(|py| {
                pyo3_asyncio::into_future_with_loop(
                    pyo3_asyncio::tokio::get_current_loop(py)?,
                    // We can also call sleep within a Rust task since the
                    // event loop is stored in task local data
                    sleep(py)?,
                )
            })?;

            py_sleep.await?;

            Ok(Python::attach(|py| py.None()))
        }),
    )
}

#[pymodule(gil_used = false)]
fn my_mod(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(sleep, m)?)?;
    m.add_function(wrap_pyfunction!(wrap_sleep, m)?)?;
    Ok(())
}

//! "The Solution", third module: the conversions find the loop themselves.

use pyo3::prelude::*;

#[pyfunction]
fn sleep(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_asyncio::tokio::future_into_py(py, async move {
        let py_sleep = Python::attach(|py| {
            pyo3_asyncio::tokio::into_future(py.import("asyncio")?.call_method1("sleep", (1,))?)
        })?;

        py_sleep.await?;

        Ok(Python::attach(|py| py.None()))
    })
}

#[pyfunction]
fn wrap_sleep(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    pyo3_asyncio::tokio::future_into_py(py, async move {
        let py_sleep = Python::attach(|py| pyo3_asyncio::tokio::into_future(sleep(py)?))?;

        py_sleep.await?;

        Ok(Python::attach(|py| py.None()))
    })
}

#[pymodule(gil_used = false)]
fn my_mod(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(sleep, m)?)?;
    m.add_function(wrap_pyfunction!(wrap_sleep, m)?)?;
    Ok(())
}

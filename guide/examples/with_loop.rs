//! "The Solution", first module: a reference to the loop is passed along.

use pyo3::prelude::*;

#[pyfunction]
fn sleep(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let current_loop = pyo3_asyncio::get_running_loop(py)?;
    let loop_ref: Py<PyAny> = current_loop.clone().into();

    // Convert the async move { } block to a Python awaitable
    pyo3_asyncio::tokio::future_into_py_with_loop(current_loop, async move {
        let py_sleep = Python::attach(|py| {
            // Sometimes we need to call other async Python functions within
            // this future. In order for this to work, we need to track the
            // event loop from earlier.
            pyo3_asyncio::into_future_with_loop(
                loop_ref.bind(py).clone(),
                py.import("asyncio")?.call_method1("sleep", (1,))?,
            )
        })?;

        py_sleep.await?;

        Ok(Python::attach(|py| py.None()))
    })
}

#[pymodule(gil_used = false)]
fn my_mod(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(sleep, m)?)?;
    Ok(())
}

//! A library whose tests stand beside its code, under cargo's own harness.

#![deny(warnings)]
#![forbid(unsafe_code)]

use pyo3::prelude::*;
use pyo3_asyncio::tokio::run_coroutine;

/// Adds two numbers, in Python.
///
/// # Errors
///
/// Those of Python.
pub async fn add(one: i64, other: i64) -> PyResult<i64> {
    let sum = run_coroutine(move |py| {
        let module = PyModule::new(py, "sum")?;
        let code = c"async def add(one, other): return one + other";
        py.run(code, Some(&module.dict()), None)?;
        module.call_method1("add", (one, other))
    });
    sum.extract().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[pyo3_asyncio::tokio::test]
    async fn two_numbers_are_added_in_python() -> PyResult<()> {
        assert_eq!(add(40, 2).await?, 42);
        Ok(())
    }
}

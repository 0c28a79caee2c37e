//! Tests under cargo's own harness.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::test]
async fn a_test_has_a_loop() -> PyResult<()> {
    let sleep = Python::attach(|py| {
        let asyncio = py.import("asyncio")?;
        pyo3_asyncio::tokio::into_future(asyncio.call_method1("sleep", (0.001,))?)
    })?;
    sleep.await?;
    Ok(())
}

#[pyo3_asyncio::tokio::test]
#[should_panic(expected = "purpose")]
async fn panics() -> PyResult<()> {
    panic!("on purpose");
}

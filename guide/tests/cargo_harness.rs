//! "PyO3 Asyncio in Cargo Tests" says that cargo's own harness cannot run these tests. Here it does.

use std::{thread, time::Duration};

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::test]
async fn test_async_sleep() -> PyResult<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Python::attach(|py| {
        pyo3_asyncio::tokio::into_future(py.import("asyncio")?.call_method1("sleep", (0,))?)
    })?
    .await?;
    Ok(())
}

#[pyo3_asyncio::async_std::test]
async fn test_async_sleep_on_async_std() -> PyResult<()> {
    async_std::task::sleep(Duration::from_secs(1)).await;
    Python::attach(|py| {
        pyo3_asyncio::async_std::into_future(py.import("asyncio")?.call_method1("sleep", (0,))?)
    })?
    .await?;
    Ok(())
}

#[pyo3_asyncio::tokio::test]
fn test_blocking_sleep() -> PyResult<()> {
    thread::sleep(Duration::from_secs(1));
    Python::attach(|py| pyo3_asyncio::tokio::get_current_loop(py).map(drop))
}

#[pyo3_asyncio::async_std::test]
fn test_blocking_sleep_on_async_std() -> PyResult<()> {
    thread::sleep(Duration::from_secs(1));
    Python::attach(|py| pyo3_asyncio::async_std::get_current_loop(py).map(drop))
}

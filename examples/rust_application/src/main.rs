//! A Rust application that awaits Python's `asyncio.sleep`.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main]
async fn main() -> PyResult<()> {
    // The event loop's thread makes the coroutine, and runs it as a task.
    let sleep = pyo3_asyncio::tokio::run_coroutine(|py| {
        let asyncio = py.import("asyncio")?;
        asyncio.call_method1("sleep", (1,))
    });

    sleep.await?;

    Ok(())
}

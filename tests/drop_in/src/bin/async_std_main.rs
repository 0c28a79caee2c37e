//! An async `main` on async-std, whose attribute has no options.

use pyo3::prelude::*;

#[pyo3_async_runtimes::async_std::main]
async fn main() -> PyResult<()> {
    let sleep = Python::attach(|py| {
        let asyncio = py.import("asyncio")?;
        pyo3_async_runtimes::async_std::into_future(asyncio.call_method1("sleep", (0, "slept"))?)
    })?;
    println!("{}", sleep.await?);
    Ok(())
}

//! An async `main` on tokio, with every option of the attribute.

use pyo3::prelude::*;

#[pyo3_async_runtimes::tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> PyResult<()> {
    let workers = pyo3_async_runtimes::tokio::get_runtime()
        .metrics()
        .num_workers();
    let sleep = Python::attach(|py| {
        let asyncio = py.import("asyncio")?;
        pyo3_async_runtimes::tokio::into_future(asyncio.call_method1("sleep", (0, workers))?)
    })?;
    println!("{} workers", sleep.await?);
    Ok(())
}

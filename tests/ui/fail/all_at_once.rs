//! Each mistake is shown, and those in the body too.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(flavor = "single", worker_threads = 0, threads, event_loop = "uvloop")]
fn main(arguments: Vec<String>) -> PyResult<()> {
    let number: u32 = "one";
    std::future::ready(()).await;
    Ok(())
}

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(worker_threads = 2, flavor = "current_thread")]
async fn main() -> PyResult<()> {
    Ok(())
}

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(worker_threads = 2, event_loop = "uvloop", worker_threads = 2)]
async fn main() -> PyResult<()> {
    Ok(())
}

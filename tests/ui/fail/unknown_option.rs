use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(threads = 4)]
async fn main() -> PyResult<()> {
    Ok(())
}

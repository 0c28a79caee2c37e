use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(flavor = "single")]
async fn main() -> PyResult<()> {
    Ok(())
}

mod not_a_string {
    #[pyo3_asyncio::tokio::main(flavor = multi_thread)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

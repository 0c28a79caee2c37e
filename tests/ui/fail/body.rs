//! What is wrong in the body is shown there.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main]
async fn main() -> PyResult<()> {
    let number: u32 = "one";
    missing();
    Ok(number)
}

//! The attribute without options.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main]
pub(crate) async fn main() -> PyResult<()> {
    Ok(())
}

//! Names that tokio's attribute had once, and words that mean an option.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(core_threads = 4, basic_scheduler, multi_thread, uvloop)]
async fn main() -> PyResult<()> {
    Ok(())
}

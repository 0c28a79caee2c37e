//! Every option, with values of several types.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main(
    flavor = "multi_thread",
    worker_threads = 2,
    event_loop = "package.module",
    crate = "pyo3_asyncio"
)]
pub(crate) async fn main() -> Result<u32, PyErr> {
    Ok(4)
}

pub(crate) mod current_thread {
    #[pyo3_asyncio::tokio::main(flavor = "current_thread")]
    pub(crate) async fn main() -> pyo3::PyResult<Vec<String>> {
        Ok(Vec::new())
    }
}

use pyo3::prelude::*;

struct Unknown;

#[pyo3_asyncio::tokio::pyfunction]
async fn argument(_unknown: Unknown) {}

#[pyo3_asyncio::tokio::pyfunction]
async fn returned() -> Unknown {
    Unknown
}

#[pyo3_asyncio::tokio::pyfunction]
async fn error() -> Result<(), Unknown> {
    Ok(())
}

fn main() {
    // With PyO3's names in sight, the messages use them.
    let _: Option<PyErr> = None;
}

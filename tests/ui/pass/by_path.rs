//! The crate under a path that the program chooses.

mod facade {
    pub(crate) use pyo3_asyncio as bridge;
}

#[facade::bridge::tokio::main(crate = "self::facade::bridge")]
pub(crate) async fn main() -> pyo3::PyResult<()> {
    Ok(())
}

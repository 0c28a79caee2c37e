//! The attribute of the other runtimes.

pub(crate) mod async_std {
    #[pyo3_asyncio::async_std::main(event_loop = "uvloop")]
    pub(crate) async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

pub(crate) mod smol {
    #[pyo3_asyncio::smol::main]
    pub(crate) async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

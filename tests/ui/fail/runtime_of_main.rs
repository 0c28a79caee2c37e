//! What only tokio has, asked of others.

mod async_std {
    #[pyo3_asyncio::async_std::main(flavor = "current_thread")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod smol {
    #[pyo3_asyncio::smol::main(event_loop = "uvloop", worker_threads = 2)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod none {
    #[pyo3_asyncio::smol::main(threads = 2)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

fn main() {}

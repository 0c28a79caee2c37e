//! Arguments that are not `name = value`.

mod no_value {
    #[pyo3_asyncio::tokio::main(flavor, worker_threads = , event_loop)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod parentheses {
    #[pyo3_asyncio::tokio::main(flavor("multi_thread"))]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod no_name {
    #[pyo3_asyncio::tokio::main("multi_thread")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod no_comma {
    #[pyo3_asyncio::tokio::main(flavor = "multi_thread" worker_threads = 2)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod two_commas {
    #[pyo3_asyncio::tokio::main(flavor = "multi_thread",, worker_threads = 2)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

fn main() {}

mod none {
    #[pyo3_asyncio::tokio::main(worker_threads = 0)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod negative {
    #[pyo3_asyncio::tokio::main(worker_threads = -1)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod string {
    #[pyo3_asyncio::tokio::main(worker_threads = "4")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod float {
    #[pyo3_asyncio::tokio::main(worker_threads = 1.5)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod constant {
    const THREADS: usize = 4;

    #[pyo3_asyncio::tokio::main(worker_threads = THREADS)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod too_many {
    #[pyo3_asyncio::tokio::main(worker_threads = 100000000000000000000)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

fn main() {}

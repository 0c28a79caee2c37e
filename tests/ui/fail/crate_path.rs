mod not_a_path {
    #[pyo3_asyncio::tokio::main(crate = "pyo3-asyncio")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod not_a_string {
    #[pyo3_asyncio::tokio::main(crate = pyo3_asyncio)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod nothing_there {
    #[pyo3_asyncio::tokio::main(crate = "facade::pyo3_asyncio")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

fn main() {}

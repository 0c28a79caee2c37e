mod empty {
    #[pyo3_asyncio::tokio::main(event_loop = "")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod a_function {
    #[pyo3_asyncio::tokio::main(event_loop = "uvloop:new_event_loop")]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod number {
    #[pyo3_asyncio::tokio::main(event_loop = 1)]
    async fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

fn main() {}

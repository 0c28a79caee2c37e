mod none {
    #[pyo3_asyncio::tokio::main]
    async fn main() {}
}

mod not_a_result {
    #[pyo3_asyncio::tokio::main]
    async fn main() -> i32 {
        0
    }
}

mod other_error {
    #[pyo3_asyncio::tokio::main]
    async fn main() -> Result<(), String> {
        Ok(())
    }
}

mod not_send {
    #[pyo3_asyncio::tokio::main]
    async fn main() -> pyo3::PyResult<()> {
        let local = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(local);
        Ok(())
    }
}

fn main() {}

//! Functions that are no start of a program.

mod not_async {
    #[pyo3_asyncio::tokio::main]
    fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod parameters {
    #[pyo3_asyncio::tokio::main]
    async fn main(_arguments: Vec<String>) -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod generic {
    #[pyo3_asyncio::tokio::main]
    async fn main<T>() -> pyo3::PyResult<()>
    where
        T: Send,
    {
        Ok(())
    }
}

mod qualified {
    #[pyo3_asyncio::tokio::main]
    async unsafe extern "C" fn main() -> pyo3::PyResult<()> {
        Ok(())
    }
}

mod other_name {
    #[pyo3_asyncio::tokio::main]
    async fn serve() -> pyo3::PyResult<()> {
        Ok(())
    }
}

#[pyo3_asyncio::tokio::main]
struct NotAFunction;

fn main() {}

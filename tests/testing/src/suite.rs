//! A test program of every kind of test: `tests/processes.rs` starts it and looks at what it says.

use pyo3::prelude::*;

#[pyo3_asyncio::tokio::main]
async fn main() -> PyResult<()> {
    pyo3_asyncio::testing::main().await
}

mod passing {
    use super::*;

    #[pyo3_asyncio::tokio::test]
    async fn sleeps() -> PyResult<()> {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        Ok(())
    }

    #[pyo3_asyncio::tokio::test]
    fn blocks() -> PyResult<()> {
        Ok(())
    }
}

mod failing {
    use super::*;

    #[pyo3_asyncio::tokio::test]
    async fn raises() -> PyResult<()> {
        Python::attach(|py| {
            py.run(
                c"def fails(): raise LookupError('deep down')\nfails()",
                None,
                None,
            )
        })
    }

    #[pyo3_asyncio::tokio::test]
    async fn panics() {
        panic!("the test's own text");
    }

    #[pyo3_asyncio::tokio::test]
    fn gives_an_error_of_rust() -> Result<(), std::num::ParseIntError> {
        "one".parse::<u8>().map(drop)
    }
}

#[pyo3_asyncio::tokio::test]
#[ignore = "it takes a day"]
fn takes_a_day() {}

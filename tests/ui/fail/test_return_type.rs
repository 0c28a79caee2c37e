//! Results that are no test's.

#[pyo3_asyncio::tokio::test]
async fn a_number() -> i32 {
    1
}

#[pyo3_asyncio::tokio::test]
fn a_value() -> pyo3::PyResult<i32> {
    Ok(1)
}

struct Silent;

#[pyo3_asyncio::tokio::test]
async fn an_error_that_cannot_be_shown() -> Result<(), Silent> {
    Ok(())
}

fn main() {}

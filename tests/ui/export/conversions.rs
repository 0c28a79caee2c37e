use pyo3::prelude::*;

struct Opaque;

struct NotAnException;

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pyfunction]
async fn does_not_convert() -> Opaque {
    Opaque
}

#[pyo3_asyncio::tokio::pyfunction]
async fn is_no_exception() -> Result<usize, NotAnException> {
    Err(NotAnException)
}

#[pyo3_asyncio::tokio::pyfunction]
async fn is_not_extracted(_count: usize, _argument: Opaque) {}

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    async fn does_not_convert(&self) -> Opaque {
        Opaque
    }

    async fn is_no_exception(&mut self) -> Result<(), NotAnException> {
        Err(NotAnException)
    }
}

fn main() {}

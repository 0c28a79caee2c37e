use pyo3::prelude::*;

#[pyo3_asyncio::tokio::pyfunction]
fn plain() {}

#[pyo3_asyncio::tokio::pyfunction]
struct NoFunction;

#[pyo3_asyncio::tokio::pymethods]
fn no_block() {}

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    #[new]
    async fn new() -> Self {
        Class
    }

    #[getter]
    async fn property(&self) -> u8 {
        1
    }

    #[setter]
    async fn set_property(&mut self, _property: u8) {}

    #[classattr]
    async fn attribute() -> u8 {
        1
    }

    async fn __repr__(&self) -> String {
        String::new()
    }
}

fn main() {}

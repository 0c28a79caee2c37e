use pyo3::prelude::*;

#[pyo3_asyncio::tokio::pyfunction]
fn plain() {}

#[pyo3_asyncio::tokio::pyfunction]
struct NoFunction;

#[pyo3_asyncio::tokio::pymethods]
fn no_block() {}

#[pyo3_asyncio::tokio::pymethods]
impl Default for Class {
    fn default() -> Self {
        Class
    }
}

struct Generic<T>(T);

#[pyo3_asyncio::tokio::pymethods]
impl<T> Generic<T> {
    fn method(&self) {}
}

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

    #[deleter]
    async fn delete_property(&mut self) {}

    #[classattr]
    async fn attribute() -> u8 {
        1
    }

    async fn __repr__(&self) -> String {
        String::new()
    }

    #[pyo3(name = "__len__")]
    async fn count(&self) -> usize {
        0
    }
}

fn main() {}

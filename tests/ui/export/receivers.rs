use pyo3::prelude::*;

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    async fn by_value(self) {}

    async fn boxed(self: Box<Self>) {}
}

#[pyclass(frozen)]
struct Frozen;

#[pyo3_asyncio::tokio::pymethods]
impl Frozen {
    async fn change(&mut self) {}
}

fn main() {}

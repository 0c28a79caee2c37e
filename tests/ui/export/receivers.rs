use std::pin::Pin;

use pyo3::prelude::*;

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    async fn by_value(self) {}

    async fn boxed(self: Box<Self>) {}

    async fn pinned(self: Pin<&mut Self>) {}

    async fn borrowed(_slf: PyRef<'_, Self>) {}

    #[classmethod]
    async fn of_class(&self) {}

    #[staticmethod]
    async fn of_nothing(&self) {}
}

#[pyclass(frozen)]
struct Frozen;

#[pyo3_asyncio::tokio::pymethods]
impl Frozen {
    async fn change(&mut self) {}
}

fn main() {}

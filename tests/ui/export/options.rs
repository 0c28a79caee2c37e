use pyo3::prelude::*;

#[pyo3_asyncio::tokio::pyfunction(eager, name = "python")]
async fn unknown() {}

#[pyo3_asyncio::tokio::pyfunction(eager_start, eager_start)]
async fn twice() {}

#[pyo3_asyncio::tokio::pyfunction(eager_start)]
#[pyo3(eager_start)]
async fn twice_in_two_places() {}

#[pyo3_asyncio::tokio::pyfunction(eager_start = true, "name")]
async fn forms() {}

#[pyo3_asyncio::tokio::pyfunction(name = "a", name = "b")]
async fn of_pyo3() {}

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods(eager_start, name = "x")]
impl Class {
    async fn method(&self) {}
}

fn main() {}

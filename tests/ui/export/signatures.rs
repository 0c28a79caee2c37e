use pyo3::prelude::*;
use pyo3_asyncio::CancelHandle;

#[pyo3_asyncio::tokio::pyfunction]
async fn generic<T: Into<String>>(_text: T) {}

#[pyo3_asyncio::tokio::pyfunction]
async fn opaque_argument(_text: impl Into<String>) {}

#[pyo3_asyncio::tokio::pyfunction]
async unsafe fn qualified() {}

#[pyo3_asyncio::tokio::pyfunction]
async fn unnamed((_left, _right): (u8, u8)) {}

#[pyo3_asyncio::tokio::pyfunction]
async fn two_handles(
    #[pyo3(cancel_handle)] _first: CancelHandle,
    #[pyo3(cancel_handle)] _second: CancelHandle,
) {
}

#[pyo3_asyncio::tokio::pyfunction]
async fn unmarked_handle(_cancel: CancelHandle) {}

#[pyo3_asyncio::tokio::pyfunction(pass_module)]
async fn no_module() {}

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    #[classmethod]
    async fn no_class(#[pyo3(cancel_handle)] _cancel: CancelHandle) {}

    async fn no_object() {}
}

#[pyo3_asyncio::tokio::pyfunction]
async fn opaque() -> impl Into<String> {
    "text"
}

fn main() {}

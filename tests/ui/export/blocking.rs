use futures_lite::{Stream, stream};
use pyo3::prelude::*;
use pyo3_asyncio::CancelHandle;

#[pyo3_asyncio::tokio::pyfunction(blocking)]
async fn no_name() {}

#[pyo3_asyncio::tokio::pyfunction(blocking = "not a name")]
async fn bad_name() {}

#[pyo3_asyncio::tokio::pyfunction(blocking = "same_name")]
async fn same_name() {}

#[pyo3_asyncio::tokio::pyfunction(name = "given", blocking = "given")]
async fn same_given_name() {}

#[pyo3_asyncio::tokio::pyfunction(blocking = "told_now")]
async fn told(#[pyo3(cancel_handle)] _cancel: CancelHandle) {}

#[pyo3_asyncio::tokio::pyfunction(blocking = "plain_now")]
fn plain() {}

#[pyclass(frozen)]
struct Class;

#[pyo3_asyncio::tokio::pymethods(blocking = "methods")]
impl Class {
    async fn method(&self) {}
}

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    #[pyo3(blocking = "__len__")]
    async fn length(&self) -> usize {
        0
    }

    #[pyo3(blocking = "__next__")]
    fn numbers(&self) -> impl Stream<Item = u8> {
        stream::empty()
    }

    #[pyo3(blocking = "__repr__", name = "__call__")]
    async fn call(&self) {}
}

fn main() {}

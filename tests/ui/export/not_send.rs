use std::rc::Rc;

use pyo3::prelude::*;

async fn rest() {}

#[pyo3_asyncio::tokio::pyfunction]
async fn function(count: usize) -> usize {
    let shared = Rc::new(count);
    rest().await;
    *shared
}

#[pyclass(frozen)]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    async fn method(&self) {
        let shared = Rc::new(1);
        rest().await;
        drop(shared);
    }
}

fn main() {}

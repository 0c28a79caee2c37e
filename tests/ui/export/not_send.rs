use std::rc::Rc;

use pyo3::prelude::*;
use pyo3_asyncio::CancelHandle;

async fn rest() {}

#[pyo3_asyncio::tokio::pyfunction]
async fn function(count: usize) -> usize {
    let shared = Rc::new(count);
    rest().await;
    *shared
}

#[pyo3_asyncio::tokio::pyfunction]
async fn with_cancel_handle(#[pyo3(cancel_handle)] mut cancel: CancelHandle) {
    let shared = Rc::new(1);
    cancel.cancelled().await;
    drop(shared);
}

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    async fn method(&self) {
        let shared = Rc::new(1);
        rest().await;
        drop(shared);
    }

    async fn change(&mut self) -> usize {
        let shared = Rc::new(1);
        rest().await;
        *shared
    }
}

fn main() {}

use std::rc::Rc;

use futures_lite::{Stream, stream};
use pyo3::prelude::*;
use pyo3_asyncio::CancelHandle;

#[pyo3_asyncio::tokio::pyfunction]
fn told(#[pyo3(cancel_handle)] _cancel: CancelHandle) -> impl Stream<Item = u8> {
    stream::empty()
}

#[pyo3_asyncio::tokio::pyfunction]
fn borrowing(text: &str) -> impl Stream<Item = String> {
    stream::once(text.to_owned())
}

#[pyo3_asyncio::tokio::pyfunction]
fn unnamed() -> impl Stream {
    stream::once(1)
}

#[pyo3_asyncio::tokio::pyfunction]
fn not_send() -> impl Stream<Item = usize> {
    let count = Rc::new(1);
    stream::repeat_with(move || *count)
}

struct NoObject;

#[pyo3_asyncio::tokio::pyfunction]
async fn of_what() -> PyResult<impl Stream<Item = NoObject>> {
    Ok(stream::once(NoObject))
}

#[pyclass]
struct Changing(u8);

#[pyo3_asyncio::tokio::pymethods]
impl Changing {
    fn numbers(&self) -> impl Stream<Item = u8> {
        stream::repeat(self.0)
    }
}

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    fn changing(&mut self) -> impl Stream<Item = u8> {
        stream::empty()
    }

    fn __anext__(slf: Py<Self>) -> impl Stream<Item = u8> {
        drop(slf);
        stream::empty()
    }

    #[getter]
    fn property(slf: Py<Self>) -> impl Stream<Item = u8> {
        drop(slf);
        stream::empty()
    }
}

fn main() {}

use std::cell::Cell;

use pyo3::prelude::*;

#[pyclass(unsendable)]
struct Class {
    count: Cell<usize>,
}

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    async fn read(&self) -> usize {
        self.count.get()
    }

    async fn change(&mut self) {
        self.count = Cell::new(0);
    }

    async fn is_accepted(slf: Py<Self>) -> Py<Self> {
        slf
    }
}

fn main() {}

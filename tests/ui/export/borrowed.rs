use pyo3::PyClassGuard;
use pyo3::prelude::*;
use pyo3::types::{PyModule, PyType};

#[pyclass]
struct Class;

#[pyo3_asyncio::tokio::pyfunction]
async fn arguments(
    _text: &str,
    _bytes: Option<&[u8]>,
    _list: Vec<&Class>,
    _object: Bound<'_, PyAny>,
    _borrow: PyRef<'_, Class>,
    _py: Python<'_>,
) {
}

#[pyo3_asyncio::tokio::pyfunction(pass_module)]
async fn module(_module: &Bound<'_, PyModule>) {}

#[pyo3_asyncio::tokio::pyfunction]
async fn returned(_text: String) -> PyResult<&'static str> {
    Ok("borrows for ever")
}

#[pyo3_asyncio::tokio::pymethods]
impl Class {
    #[classmethod]
    async fn class_method(_cls: &Bound<'_, PyType>) {}

    async fn receiver(_slf: PyClassGuard<'_, Self>) {}

    async fn returned(&self) -> &str {
        "borrows the object"
    }
}

fn main() {}

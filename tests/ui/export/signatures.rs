use pyo3_asyncio::CancelHandle;

#[pyo3_asyncio::tokio::pyfunction]
async fn generic<T: Into<String>>(_text: T) {}

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
async fn opaque() -> impl Into<String> {
    "text"
}

fn main() {}

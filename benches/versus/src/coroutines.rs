//! Coroutines, on a bridge that exports them.

use pyo3_async_runtimes::tokio;

/// A coroutine that yields to the runtime once.
#[tokio::pyfunction]
pub(crate) async fn coroutine() -> i32 {
    ::tokio::task::yield_now().await;
    1
}

use futures_lite::{Stream, stream};
use pyo3_asyncio::CancelHandle;

#[pyo3_asyncio::tokio::pyfunction(detach_on_cancel)]
async fn told(#[pyo3(cancel_handle)] _cancel: CancelHandle) {}

#[pyo3_asyncio::tokio::pyfunction(detach_on_cancel, share_context)]
fn numbers() -> impl Stream<Item = u8> {
    stream::empty()
}

fn main() {}

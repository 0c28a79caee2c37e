//! Options that the test does not have.

#[pyo3_asyncio::tokio::test(flavor = "current_thread")]
fn no_runtime_polls_it() {}

#[pyo3_asyncio::tokio::test(worker_threads = 2)]
fn nor_this() {}

#[pyo3_asyncio::async_std::test(flavor = "multi_thread")]
async fn async_std_has_no_flavors() {}

#[pyo3_asyncio::smol::test(worker_threads = 2)]
async fn smol_has_no_workers() {}

#[pyo3_asyncio::tokio::test(start_paused = true)]
async fn the_clock_is_everyones() {}

fn main() {}

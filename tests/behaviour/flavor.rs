//! tokio's module of the crate, started on the flavor that the test binary names.

pub(crate) use pyo3_asyncio::tokio::*;

pub(crate) fn start() {
    let mut builder = crate::flavor();
    builder.enable_all();
    init(builder);
}

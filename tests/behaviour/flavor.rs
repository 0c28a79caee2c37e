//! tokio's module of the crate, and how it is started on the flavor that the program of tests names.

pub(crate) use pyo3_asyncio::tokio::*;

pub(crate) fn start() {
    let mut builder = crate::flavor();
    builder.enable_all();
    init(builder);
}

//! The workload on this library.

use pyo3_asyncio as bridge;

#[expect(
    clippy::duplicate_mod,
    reason = "one source on two bridges is the point"
)]
#[path = "workload.rs"]
mod workload;

pub(crate) use workload::register;

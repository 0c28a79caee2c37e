//! The workload on the predecessor.

use pyo3_async_runtimes as bridge;

#[path = "workload.rs"]
mod workload;

pub(crate) use workload::register;

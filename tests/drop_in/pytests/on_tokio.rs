//! A test program for the runtime of its name.

#[macro_use]
mod program;

program!(tokio, pyo3_async_runtimes::testing::main());

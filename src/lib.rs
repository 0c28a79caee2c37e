//! **Rust futures and Python's asyncio await each other.**
//!
//! Python awaits Rust futures, and Rust awaits Python coroutines. Tokio, async-std and smol work with asyncio and uvloop.
//! Cancellation, contexts and errors behave as each side expects.
//!
//! | you want | you call |
//! | --- | --- |
//! | to export an asynchronous Rust function | [`tokio::future_into_py`] |
//! | to export an `async fn`, which is an `async def` in Python | [`#[tokio::pyfunction]`](macro@tokio::pyfunction), [`#[tokio::pymethods]`](macro@tokio::pymethods) |
//! | to await Python from Rust | [`tokio::into_future`] |
//! | to make such a coroutine from any Rust future | [`tokio::into_coroutine`] |
//! | to run a Rust program with an event loop | [`#[tokio::main]`](macro@tokio::main), [`tokio::run`], [`run_forever`] |
//! | to test either | [`#[tokio::test]`](macro@tokio::test), [`testing`] |
//! | to block on a Rust future | [`tokio::block_on`] |
//! | to cross from a thread of your own | [`TaskLocals`], the functions that end in `_with_locals` or `_with_loop` |
//! | to see what crosses | [`metrics()`], and the feature `tracing`: a span of the target `pyo3_asyncio` for each crossing |
//!
//! # Which thread runs what
//!
//! ```text
//!   loop's thread (attached)                      runtime's workers (never attached by us)
//!   ------------------------                      ----------------------------------------
//!   future_into_py(fut)  ---- spawn ----------->  poll fut, poll fut, ... done
//!   drain: settle, wake the awaiting task  <----  post the result, ring once for a burst
//!
//!   drain: start the Python task           <----  into_future(coroutine) (you attach to call it)
//!   task done: take the result   -- waker ----->  poll the future that awaits it
//! ```
//!
//! A worker never attaches to the interpreter for this crate. So Python code that holds the GIL delays no Rust timer and no Rust
//! connection. The loop wakes once for a burst of results.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_macros, clippy::disallowed_methods)]
#[cfg(all(doctest, feature = "tokio-runtime", feature = "attributes"))]
#[doc = include_str!("../README.md")]
mod readme {}

mod api;
mod asyncio;
mod entry;
mod error;
mod event_loop;
mod locals;
mod metrics;
mod panic;
mod process;
mod runtime;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod to_python;
mod to_rust;
mod trace;

/// The exceptions of this crate, and the conversion of other errors to a `PyErr`.
pub mod err {
    pub use crate::error::{
        IntoPyErr, LoopClosed, RuntimeStopped, RustPanic, into_py_err, register,
    };
}

#[cfg(feature = "async-std-runtime")]
pub use api::async_std;
#[cfg(feature = "attributes")]
#[doc(hidden)]
pub use api::private as __private;
#[cfg(feature = "smol-runtime")]
pub use api::smol;
#[cfg(feature = "tokio-runtime")]
pub use api::tokio;
pub use api::{AwaitableBuilder, custom, generic};
pub use asyncio::get_running_loop;
pub use entry::run_forever;
/// The registry of tests. `inventory::submit!` adds a [`Test`](testing::Test) without an attribute.
#[cfg(feature = "testing")]
pub use inventory;
pub use locals::{Scope, TaskLocals};
pub use metrics::{Metrics, metrics};
pub use to_python::CancelHandle;
pub use to_rust::{
    ConvertedPyTask, PyCall, PyTask, into_future_with_locals, into_future_with_loop,
};

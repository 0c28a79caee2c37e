//! **Rust futures and Python's asyncio await each other.**
//!
//! Python awaits Rust futures, and Rust awaits Python coroutines. Tokio, async-std and smol work with asyncio and uvloop.
//! Cancellation, contexts and errors behave as each side expects.
//!
//! | you want | you call |
//! | --- | --- |
//! | to export an asynchronous Rust function | [`tokio::future_into_py`] |
//! | to export an `async fn`, which is an `async def` in Python | [`#[tokio::pyfunction]`](macro@tokio::pyfunction), [`#[tokio::pymethods]`](macro@tokio::pymethods) |
//! | to give Python a Rust stream, for `async for` | [`tokio::into_async_generator`] |
//! | to call Python from a Rust future, and await what the call returns | [`tokio::run_coroutine`] |
//! | to call a plain Python function from a Rust future | [`tokio::call_soon`] |
//! | to await a Python awaitable that you have | [`tokio::into_future`] |
//! | to iterate over a Python async generator in Rust | [`tokio::into_stream`], [`tokio::run_async_generator`] |
//! | to make a coroutine of any Rust future | [`tokio::into_coroutine`] |
//! | to make a coroutine of a value that is there | [`ready`] |
//! | to run a Rust program with an event loop | [`#[tokio::main]`](macro@tokio::main), [`tokio::run`], [`run_forever`] |
//! | to run tokio in the thread of the event loop | [`tokio::new_event_loop`] |
//! | to test asynchronous code | [`#[tokio::test]`](macro@tokio::test), [`testing`] |
//! | to block on a Rust future, which may await Python | [`tokio::block_on`], [`tokio::background_loop`] |
//! | to export a function that blocks beside one that does not | `blocking = "name"` in [`#[tokio::pyfunction]`](macro@tokio::pyfunction) |
//! | to cross from a thread of your own | [`TaskLocals::run_coroutine`], [`TaskLocals::call_soon`], the functions that end in `_with_locals` or `_with_loop` |
//! | to see what crosses | [`metrics()`], and the feature `tracing`: a span of the target `pyo3_asyncio` for each crossing, in the caller's span |
//!
//! # Which thread runs what
//!
//! ```text
//!   loop's thread (attached)                      runtime's workers (never attached by us)
//!   ------------------------                      ----------------------------------------
//!   future_into_py(fut)  ---- spawn ----------->  poll fut, poll fut, ... done
//!   drain: settle, wake the awaiting task  <----  post the result, ring once for a burst
//!
//!   drain: call f, start the Python task   <----  run_coroutine(f)
//!   task done: extract the result -- waker ---->  poll the future that awaits it
//!
//!   drain: call f, take what it returns    <----  call_soon(f)
//!   called                       -- waker ----->  poll the future that awaits it
//! ```
//!
//! A worker never attaches to the interpreter for this crate. So Python code that holds the GIL delays no Rust timer and no Rust
//! connection. The loop wakes once for a burst of results and calls.
//!
//! A function that takes `py` or a Python object may be called on any thread that is attached to the interpreter. Every other
//! function may be called on any thread. A [`PyTask`], a [`PyCall`] and a [`PyStream`] may be polled on any thread.
//!
//! # Calling Python from a Rust future
//!
//! [`tokio::run_coroutine`] and [`tokio::call_soon`] call a closure on the loop's thread, which is attached anyway.
//! [`PyTask::extract`] and [`PyTask::and_then`] convert the result there too. Capture what the closure needs in an `Arc`: cloning an
//! `Arc` needs no interpreter, cloning a `Py` does.
//!
//! ```
//! use std::sync::Arc;
//! use pyo3::prelude::*;
//! use pyo3_asyncio::tokio::{call_soon, run_coroutine};
//!
//! /// Adds up what `get_price`, an `async def`, gives for each name. Tells `on_price`, a plain function, of each price.
//! #[pyo3_asyncio::tokio::pyfunction]
//! async fn total(names: Vec<String>, get_price: Py<PyAny>, on_price: Py<PyAny>) -> PyResult<f64> {
//!     let (get_price, on_price) = (Arc::new(get_price), Arc::new(on_price));
//!     let mut total = 0.0;
//!     for name in names {
//!         let get_price = Arc::clone(&get_price);
//!         let price = run_coroutine(move |py| get_price.bind(py).call1((name,)));
//!         let price = price.extract::<f64>().await?;
//!         let on_price = Arc::clone(&on_price);
//!         call_soon(move |py| on_price.call1(py, (price,)).map(drop)).await?;
//!         total += price;
//!     }
//!     Ok(total)
//! }
//!
//! # Python::initialize();
//! # Python::attach(|py| {
//! #     let program = c"
//! # import asyncio
//! # prices = []
//! # async def get_price(name):
//! #     return float(len(name))
//! # async def main():
//! #     assert await total(['tea', 'milk'], get_price, prices.append) == 7.0
//! #     assert prices == [3.0, 4.0]
//! # asyncio.run(main())
//! # ";
//! #     let globals = pyo3::types::PyDict::new(py);
//! #     globals.set_item("total", wrap_pyfunction!(total, py)?)?;
//! #     py.run(program, Some(&globals), None)
//! # }).unwrap();
//! ```
//!
//! `Python::attach` in a Rust future waits until no other thread holds the GIL, and every task of that worker waits with it. It is
//! right if the Python code is short and synchronous, and the thread may wait:
//!
//! - in `spawn_blocking` and in a thread of your own;
//! - inside [`tokio::block_on`], where the calling thread polls the future and waits anyway;
//! - in a future of [`tokio::local_future_into_py`], which the loop polls attached.
//!
//! Never hold an attachment over an `await`.

#![forbid(unsafe_code)]
#![warn(clippy::disallowed_macros, clippy::disallowed_methods)]
#[cfg(all(doctest, feature = "tokio-runtime", feature = "attributes"))]
#[doc = include_str!("../README.md")]
mod readme {}
#[cfg(all(doctest, feature = "tokio-runtime", feature = "attributes"))]
#[doc = include_str!("../docs/blocking.md")]
mod blocking_page {}
#[cfg(all(doctest, feature = "tokio-runtime", feature = "attributes"))]
#[doc = include_str!("../docs/cancellation.md")]
mod cancellation_page {}

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
mod user_value;

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
pub use to_python::{CancelHandle, ready};
pub use to_rust::{
    ConvertedPyTask, PyCall, PyStream, PyTask, into_future_with_locals, into_future_with_loop,
    into_stream_with_locals,
};

/// Adds an exported function to a module: `add_function!(module, path::of::function)`.
///
/// A declarative `#[pymodule] mod` does this by itself. In a `#[pymodule] fn`, use this instead of `wrap_pyfunction!` from PyO3, which
/// makes a built-in function. That returns the same coroutines, but `inspect.iscoroutinefunction` is false for it.
///
/// The module is a `&Bound<'_, PyModule>`. The function has the attribute [`#[tokio::pyfunction]`](macro@tokio::pyfunction), that of
/// another runtime, or PyO3's. It is a `PyResult<()>`.
///
/// # Errors
///
/// Python's own error if it cannot add the function.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "tokio-runtime")]
/// # mod extension {
/// use pyo3::prelude::*;
///
/// #[pyo3_asyncio::tokio::pyfunction]
/// async fn answer() -> i32 {
///     42
/// }
///
/// #[pymodule]
/// fn my_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
///     pyo3_asyncio::add_function!(module, answer)
/// }
/// # }
/// ```
#[cfg(feature = "attributes")]
#[macro_export]
macro_rules! add_function {
    ($module:expr, $function:path) => {{
        #[allow(unused_imports, reason = "for functions of PyO3's own attribute")]
        use $crate::__private::PyAddToModule as _;
        use $function as exported;
        exported::_PYO3_DEF.add_to_module($module)
    }};
}

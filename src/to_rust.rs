//! Python awaitables that Rust awaits, and Rust functions that are called on the thread of an event loop.

use pyo3::prelude::*;

use crate::locals::TaskLocals;

mod call;
mod convert;
mod given_up;
mod stream;
mod task;

pub use call::PyCall;
pub use convert::ConvertedPyTask;
pub(crate) use given_up::GivenUpTasks;
pub(crate) use stream::run_async_generator;
pub use stream::{PyStream, into_stream_with_locals};
pub(crate) use task::run_coroutine;
pub use task::{PyTask, into_future_with_locals, into_future_with_loop};

impl TaskLocals {
    /// Calls a function on the thread of the event loop, and awaits there the awaitable that it returns.
    ///
    /// Like [`tokio::run_coroutine`](crate::tokio::run_coroutine), on the loop and in the context of these locals.
    #[track_caller]
    pub fn run_coroutine<F>(&self, function: F) -> PyTask
    where
        F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
    {
        task::run_coroutine(Ok(self.clone()), function)
    }

    /// Calls a function on the thread of the event loop, and iterates there over the async iterable that it returns.
    ///
    /// Like [`tokio::run_async_generator`](crate::tokio::run_async_generator), on the loop and in the context of these locals.
    #[track_caller]
    pub fn run_async_generator<F>(&self, function: F) -> PyStream
    where
        F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
    {
        stream::run_async_generator(Ok(self.clone()), function)
    }

    /// Calls a function on the thread of the event loop.
    ///
    /// Like [`tokio::call_soon`](crate::tokio::call_soon), on the loop and in the context of these locals.
    #[track_caller]
    pub fn call_soon<F, T>(&self, function: F) -> PyCall<T>
    where
        F: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
        T: Send + 'static,
    {
        PyCall::post(Ok(self.clone()), function)
    }
}

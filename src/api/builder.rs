//! [`AwaitableBuilder`]: all options with which Python awaits a Rust future, or iterates over a Rust stream, in one builder.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::pin::Pin;

use futures_core::Stream;
use pyo3::prelude::*;

use crate::runtime::Runtime;
use crate::to_python::{OnRuntime, OnThisThread, Plan, ThreadBound};
use crate::{CancelHandle, TaskLocals};

/// Builds a Python awaitable of a Rust future, or an async generator of a Rust stream.
///
/// It comes from `awaitable` of a runtime's module, such as [`tokio::awaitable`](crate::tokio::awaitable). The choices are
/// independent of each other, but an [`async_generator`](Self::async_generator) refuses some:
///
/// | choice | default | otherwise |
/// | --- | --- | --- |
/// | what Python gets | | [`future`](Self::future): an `asyncio.Future`, [`coroutine`](Self::coroutine), or [`async_generator`](Self::async_generator) |
/// | where it is polled | on the runtime | on this thread: [`local_future`](Self::local_future), [`local_coroutine`](Self::local_coroutine), [`local_async_generator`](Self::local_async_generator) |
/// | when it starts | on the runtime, at the call or at the first `await` | [`eager_start`](Self::eager_start): with a first poll on this thread |
/// | when Python cancels it | it is dropped | [`cancel_handle`](Self::cancel_handle): it is told; [`detach_on_cancel`](Self::detach_on_cancel): it goes on |
/// | its loop and context | the current ones | [`locals`](Self::locals) |
/// | the context of what it calls | a copy for each call | [`share_context`](Self::share_context): one for all |
/// | how many items of a stream cross together | up to 128 | [`capacity`](Self::capacity) |
#[must_use = "nothing is built before `future`, `coroutine`, or one of their local forms is called"]
pub struct AwaitableBuilder<R> {
    pub(super) plan: Plan,
    runtime: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for AwaitableBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitableBuilder").finish_non_exhaustive()
    }
}

impl<R: Runtime> AwaitableBuilder<R> {
    #[track_caller]
    pub(super) fn new() -> Self {
        Self {
            plan: Plan::new(),
            runtime: PhantomData,
        }
    }

    /// Sets the `__name__` and `__qualname__` of a coroutine or an async generator. By default, those of a coroutine are the name of
    /// the Rust function that the future comes from.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.plan.name = Some(name.into());
        self
    }

    /// Polls the future once on this thread before it goes to the runtime: at the call, or in the first step of a coroutine. The
    /// stream of an async generator is polled first on the thread that awaits an item.
    ///
    /// See `eager_future_into_py` of a runtime's module, such as
    /// [`tokio::eager_future_into_py`](crate::tokio::eager_future_into_py), for when that pays. The first poll of a
    /// [`local_coroutine`](Self::local_coroutine) is always on this thread.
    pub fn eager_start(mut self, eager_start: bool) -> Self {
        self.plan.eager_start = eager_start;
        self
    }

    /// Uses the loop and the context of `locals`, instead of those of the caller, or of the task that awaits a coroutine.
    pub fn locals(mut self, locals: TaskLocals) -> Self {
        self.plan.locals = Some(locals);
        self
    }

    /// Sets the most items of a stream that cross to Python together, 128 by default.
    ///
    /// More items than that are never held for Python. With 1, the stream is polled for an item only when Python awaits that item.
    pub fn capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.plan.capacity = capacity;
        self
    }

    /// Has everything that the future calls and awaits in Python run in one context: see
    /// [`TaskLocals::share_context`](crate::TaskLocals::share_context).
    pub fn share_context(mut self, share_context: bool) -> Self {
        self.plan.share_context = share_context;
        self
    }

    /// Lets a future that has started go on to its end in the background when Python cancels it, as `asyncio.shield` does with a task.
    ///
    /// Use it for what must not stop halfway, such as a commit on a connection that others use next: a future that is dropped
    /// between a write and a read leaves the answer on the wire. A future that can clean up instead, and do so soon, is better told
    /// of the cancellation: see [`cancel_handle`](Self::cancel_handle). `docs/cancellation.md` compares the two.
    ///
    /// The Python side sees `CancelledError` at once, as always. The output is dropped in the runtime's context. An error that
    /// comes later goes to the loop's exception handler. If the loop is closed by then, the error is dropped.
    ///
    /// A coroutine that was closed or dropped counts as cancelled too. A coroutine whose first step has not run is dropped.
    ///
    /// *The end.* The end of the process waits up to 5 seconds until such futures are done, and then drops those that are left. Closing a
    /// loop waits for none. It drops those that the loop's thread polls: local ones, methods that borrow, and those on a loop of
    /// [`tokio::new_event_loop`](crate::tokio::new_event_loop). [`Metrics::detached_futures`](crate::Metrics::detached_futures) counts them.
    ///
    /// Called after [`cancel_handle`](Self::cancel_handle), it takes the place of the handle, and the other way round.
    pub fn detach_on_cancel(mut self, detach_on_cancel: bool) -> Self {
        self.plan.detach_on_cancel(detach_on_cancel);
        self
    }

    /// Has Python's cancellations handed to the future by this handle, instead of dropping the future.
    ///
    /// Move the handle into the future. Called twice, the second handle counts.
    #[must_use = "a cancellation drops the future once the handle is dropped"]
    pub fn cancel_handle(&mut self) -> CancelHandle {
        self.plan.cancel_handle()
    }

    /// Starts the Rust future and gives an `asyncio.Future`: see `future_into_py` of a runtime's module, such as
    /// [`tokio::future_into_py`](crate::tokio::future_into_py). Gives a coroutine where no loop is known.
    ///
    /// # Errors
    ///
    /// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
    pub fn future<F, T>(self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.plan.future::<R, F, T>(py, future)
    }

    /// Makes a coroutine, which starts the Rust future when it is first awaited: see `into_coroutine` of a runtime's module,
    /// such as [`tokio::into_coroutine`](crate::tokio::into_coroutine).
    ///
    /// # Errors
    ///
    /// Python's, if it has no memory for the object.
    pub fn coroutine<F, T>(self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.plan.coroutine::<OnRuntime<R>, F, T, F>(py, future)
    }

    /// Makes an async generator of a stream: see `into_async_generator` of a runtime's module, such as
    /// [`tokio::into_async_generator`](crate::tokio::into_async_generator).
    ///
    /// # Errors
    ///
    /// `RuntimeError` if the builder has a [`cancel_handle`](Self::cancel_handle), [`detach_on_cancel`](Self::detach_on_cancel) or
    /// [`share_context`](Self::share_context), and Python's, if it has no memory for the object.
    pub fn async_generator<S, T>(self, py: Python<'_>, stream: S) -> PyResult<Bound<'_, PyAny>>
    where
        S: Stream<Item = PyResult<T>> + Send + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.plan
            .async_generator::<R, OnRuntime<R>, S, Pin<Box<S>>, T>(py, stream)
    }

    /// Like [`future`](Self::future), for a Rust future that is not `Send`: see `local_future_into_py` of a runtime's module,
    /// such as [`tokio::local_future_into_py`](crate::tokio::local_future_into_py).
    ///
    /// # Errors
    ///
    /// `RuntimeError` on a thread that can poll it in no way, and those of [`future`](Self::future).
    pub fn local_future<F, T>(self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        F: Future<Output = PyResult<T>> + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.plan.local_future::<R, F, T>(py, future)
    }

    /// Like [`coroutine`](Self::coroutine), for a Rust future that is not `Send`.
    ///
    /// The event loop that awaits the coroutine polls the future, attached and in the runtime's context. That loop has to run
    /// on this thread: elsewhere the first step raises a `RuntimeError`. However the coroutine ends, the future is dropped
    /// before Python goes on.
    ///
    /// # Errors
    ///
    /// Those of [`coroutine`](Self::coroutine).
    pub fn local_coroutine<F, T>(self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        F: Future<Output = PyResult<T>> + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.plan
            .coroutine::<OnThisThread<R>, F, T, ThreadBound<F>>(py, future)
    }

    /// Like [`async_generator`](Self::async_generator), for a stream that is not `Send`.
    ///
    /// The event loop that iterates over it polls the stream, attached and in the runtime's context. That loop has to run on this
    /// thread: elsewhere the first item raises a `RuntimeError`.
    ///
    /// # Errors
    ///
    /// Those of [`async_generator`](Self::async_generator).
    pub fn local_async_generator<S, T>(
        self,
        py: Python<'_>,
        stream: S,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        S: Stream<Item = PyResult<T>> + 'static,
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.plan
            .async_generator::<R, OnThisThread<R>, S, ThreadBound<Pin<Box<S>>>, T>(py, stream)
    }
}

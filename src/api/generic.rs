//! The functions and traits of `pyo3_async_runtimes::generic`, for runtimes that implement those traits.
//!
//! A program for `pyo3-async-runtimes` compiles unchanged. New programs should use [`custom`](crate::custom), whose trait requires
//! only one function. A runtime with this [`Runtime`] trait is also a [`custom::Runtime`](crate::custom::Runtime), and works with
//! the functions that only `custom` has (coroutines, eager start, `block_on`).
//!
//! # Locals
//!
//! The runtime stores the [`TaskLocals`] of its tasks itself, through [`ContextExt`]. [`future_into_py`] and [`run`] wrap a future
//! in [`ContextExt::scope`]. [`get_current_locals`] and [`into_future`] first call [`ContextExt::get_task_locals`], so they also
//! work in a task that the program itself spawns within `scope`.
//!
//! # Calls to the runtime
//!
//! A crossing calls [`Runtime::spawn`] once and drops the join handle. Dropping it must not stop the task. The task catches panics
//! itself, and the event loop's thread converts results. So this crate never awaits a join handle and never calls
//! [`Runtime::spawn_blocking`].
//!
//! # Example
//!
//! ```
//! use std::cell::OnceCell;
//! use std::future::Future;
//! use std::pin::Pin;
//! use std::sync::LazyLock;
//!
//! use pyo3::prelude::*;
//! use pyo3_asyncio::TaskLocals;
//! use pyo3_asyncio::generic::{self, ContextExt, Runtime};
//! use tokio::task::{JoinError, JoinHandle};
//!
//! static TOKIO: LazyLock<tokio::runtime::Runtime> =
//!     LazyLock::new(|| tokio::runtime::Runtime::new().expect("there are threads to be had"));
//!
//! tokio::task_local! {
//!     static LOCALS: TaskLocals;
//! }
//!
//! struct MyRuntime;
//!
//! impl Runtime for MyRuntime {
//!     type JoinError = JoinError;
//!     type JoinHandle = JoinHandle<()>;
//!
//!     fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> JoinHandle<()> {
//!         TOKIO.spawn(future)
//!     }
//!
//!     fn spawn_blocking<F: FnOnce() + Send + 'static>(function: F) -> JoinHandle<()> {
//!         TOKIO.spawn_blocking(function)
//!     }
//! }
//!
//! impl ContextExt for MyRuntime {
//!     fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
//!     where
//!         F: Future<Output = R> + Send + 'static,
//!     {
//!         Box::pin(LOCALS.scope(locals, future))
//!     }
//!
//!     fn get_task_locals() -> Option<TaskLocals> {
//!         LOCALS.try_with(Clone::clone).ok()
//!     }
//! }
//!
//! # Python::initialize();
//! # Python::attach(|py| {
//! let answer = generic::run::<MyRuntime, _, _>(py, async {
//!     let answer = generic::run_coroutine::<MyRuntime, _>(|py| {
//!         py.import("asyncio")?.call_method1("sleep", (0.01, 42))
//!     });
//!     answer.extract::<u8>().await
//! });
//! assert_eq!(answer.unwrap(), 42);
//! # });
//! ```

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

#[cfg(feature = "unstable-streams")]
use futures_core::Stream;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::locals;
use crate::to_python::names_of;
use crate::{AwaitableBuilder, PyCall, PyStream, PyTask, TaskLocals, runtime};

/// The error of a spawned task that has no result.
pub trait JoinError {
    /// Whether the task panicked.
    fn is_panic(&self) -> bool;

    /// The payload of the task's panic.
    ///
    /// # Panics
    ///
    /// May panic if [`is_panic`](Self::is_panic) is `false`.
    fn into_panic(self) -> Box<dyn Any + Send + 'static>;
}

#[cfg(feature = "tokio-runtime")]
impl JoinError for tokio::task::JoinError {
    fn is_panic(&self) -> bool {
        tokio::task::JoinError::is_panic(self)
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        tokio::task::JoinError::into_panic(self)
    }
}

/// A Rust runtime that returns a join handle for each task.
///
/// Every such runtime is a [`custom::Runtime`](crate::custom::Runtime) too.
pub trait Runtime: Send + 'static {
    /// The error of a task that panicked or was cancelled.
    type JoinError: JoinError + Send;

    /// Waits for the end of a task. Dropping it leaves the task running.
    type JoinHandle: Future<Output = Result<(), Self::JoinError>> + Send;

    /// Starts a future in the background. Called on any thread, attached to the interpreter. Must not block.
    ///
    /// A runtime that has been shut down drops the future. The Python side then gets
    /// [`RuntimeStopped`](crate::err::RuntimeStopped).
    fn spawn<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static;

    /// Calls a function on a thread that may block. Only programs call this, not this crate.
    fn spawn_blocking<F>(f: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static;
}

/// A runtime that can run a future that is not `Send`, on the thread that spawns it.
pub trait SpawnLocalExt: Runtime {
    /// Starts a future on this thread's local executor.
    ///
    /// # Panics
    ///
    /// May panic if this thread drives no local executor.
    fn spawn_local<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + 'static;
}

/// A runtime that stores the event loop and the context of each task.
pub trait ContextExt: Runtime {
    /// Runs a future with the locals: while it is polled, [`get_task_locals`](Self::get_task_locals) returns them.
    fn scope<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static;

    /// The locals of the task that is being polled on this thread, if it has any.
    fn get_task_locals() -> Option<TaskLocals>;
}

/// [`ContextExt::scope`] for futures that are not `Send`.
pub trait LocalContextExt: Runtime {
    /// Runs a future with the locals.
    fn scope_local<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R>>>
    where
        F: Future<Output = R> + 'static;
}

impl<R: Runtime> runtime::Runtime for R {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(R::spawn(future));
    }
}

/// The same runtime with its local executor. A blanket implementation cannot have it, because not every `R` is a `SpawnLocalExt`.
struct WithLocalExecutor<R>(PhantomData<fn() -> R>);

impl<R: SpawnLocalExt> runtime::Runtime for WithLocalExecutor<R> {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(R::spawn(future));
    }

    fn spawn_local<F>(future: F) -> Result<(), F>
    where
        F: Future<Output = ()> + 'static,
    {
        drop(R::spawn_local(future));
        Ok(())
    }
}

/// Wraps a future in the runtime's own scope, with the locals of its crossing.
async fn scoped<R, F>(future: F) -> F::Output
where
    R: ContextExt,
    F: Future<Output: Send> + Send + 'static,
{
    let locals = locals::current().expect("a crossing is polled with its locals installed");
    R::scope(locals, future).await
}

/// The event loop of the Rust task that is being polled on this thread. Outside a task, the running loop of the thread.
///
/// # Errors
///
/// `RuntimeError` if there is neither.
pub fn get_current_loop<R>(py: Python<'_>) -> PyResult<Bound<'_, PyAny>>
where
    R: ContextExt,
{
    Ok(get_current_locals::<R>(py)?.event_loop(py))
}

/// The locals of the Rust task that is being polled on this thread. Outside a task, the running loop of the thread with a copy of
/// the current context.
///
/// # Errors
///
/// `RuntimeError` if there is neither.
pub fn get_current_locals<R>(py: Python<'_>) -> PyResult<TaskLocals>
where
    R: ContextExt,
{
    match R::get_task_locals() {
        Some(locals) => Ok(locals),
        None => locals::get_current_locals(py),
    }
}

/// Starts a Rust future on the runtime and returns a Python future that settles with its result.
///
/// Cancelling it, dropping it, and calling this without an event loop have the same effect as with
/// [`custom::future_into_py`](crate::custom::future_into_py).
///
/// # Errors
///
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed. The Python future raises the error that the Rust future
/// returns, and [`RustPanic`](crate::err::RustPanic) if it panics.
#[track_caller]
pub fn future_into_py<R, F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime + ContextExt,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let mut builder = AwaitableBuilder::<R>::new();
    builder.plan.names = Some(names_of::<F>);
    builder.plan.locals = R::get_task_locals();
    builder.future(py, scoped::<R, F>(fut))
}

/// Like [`future_into_py`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
#[track_caller]
pub fn future_into_py_with_locals<R, F, T>(
    py: Python<'_>,
    locals: TaskLocals,
    fut: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime + ContextExt,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let builder = AwaitableBuilder::<R>::new().locals(locals);
    builder.future(py, scoped::<R, F>(fut))
}

/// Like [`future_into_py`], for a future that is not `Send`, which stays on this thread.
///
/// If this thread runs the event loop of the Python future, the loop polls the Rust future. Otherwise
/// [`SpawnLocalExt::spawn_local`] runs it.
///
/// # Errors
///
/// The errors of [`future_into_py`], and `RuntimeError` if there is no event loop.
#[track_caller]
pub fn local_future_into_py<R, F, T>(py: Python<'_>, fut: F) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime + ContextExt + SpawnLocalExt + LocalContextExt,
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'py> IntoPyObject<'py>,
{
    local_future_into_py_with_locals::<R, F, T>(py, get_current_locals::<R>(py)?, fut)
}

/// Like [`local_future_into_py`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// The errors of [`local_future_into_py`].
#[track_caller]
pub fn local_future_into_py_with_locals<R, F, T>(
    py: Python<'_>,
    locals: TaskLocals,
    fut: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime + SpawnLocalExt + LocalContextExt,
    F: Future<Output = PyResult<T>> + 'static,
    T: for<'py> IntoPyObject<'py>,
{
    let scope = locals.clone();
    let converted = async move {
        let value = R::scope_local(scope, fut).await?;
        // The value may not be `Send`, so it is converted on this thread.
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread of the user's runtime, as in `pyo3-async-runtimes`"
        )]
        Python::attach(|py| value.into_py_any(py))
    };
    let builder = AwaitableBuilder::<WithLocalExecutor<R>>::new().locals(locals);
    builder.local_future(py, converted)
}

/// Starts a Python awaitable as a task of the current loop and returns a Rust future of its result.
///
/// The loop and the context are those of [`get_current_locals`].
///
/// # Errors
///
/// `TypeError` if the object cannot be awaited, `RuntimeError` if there is no current loop, and
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
#[track_caller]
pub fn into_future<R>(awaitable: Bound<'_, PyAny>) -> PyResult<PyTask>
where
    R: Runtime + ContextExt,
{
    let locals = get_current_locals::<R>(awaitable.py())?;
    crate::into_future_with_locals(&locals, awaitable)
}

/// Calls a function on the thread of the event loop, and awaits there the awaitable that it returns.
///
/// Like [`custom::run_coroutine`](crate::custom::run_coroutine), with the locals of [`ContextExt::get_task_locals`].
#[track_caller]
pub fn run_coroutine<R, F>(function: F) -> PyTask
where
    R: Runtime + ContextExt,
    F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
{
    crate::to_rust::run_coroutine(locals_of_call::<R>(), function)
}

/// Calls a function on the thread of the event loop, and returns a future of its result.
///
/// Like [`custom::call_soon`](crate::custom::call_soon), with the locals of [`ContextExt::get_task_locals`].
#[track_caller]
pub fn call_soon<R, F, T>(function: F) -> PyCall<T>
where
    R: Runtime + ContextExt,
    F: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    T: Send + 'static,
{
    PyCall::post(locals_of_call::<R>(), function)
}

/// Makes a Rust stream of a Python async generator, or of any object with `__aiter__`.
///
/// Like [`custom::into_stream`](crate::custom::into_stream), with the locals of [`ContextExt::get_task_locals`].
///
/// # Errors
///
/// `TypeError` if the object has no `__aiter__`, `RuntimeError` if there is no current loop, and
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
#[track_caller]
pub fn into_stream<R>(iterable: Bound<'_, PyAny>) -> PyResult<PyStream>
where
    R: Runtime + ContextExt,
{
    let locals = get_current_locals::<R>(iterable.py())?;
    crate::into_stream_with_locals(&locals, iterable)
}

/// Calls a function on the thread of the event loop, and gives a Rust stream of the async iterable that it returns.
///
/// Like [`custom::run_async_generator`](crate::custom::run_async_generator), with the locals of
/// [`ContextExt::get_task_locals`].
#[track_caller]
pub fn run_async_generator<R, F>(function: F) -> PyStream
where
    R: Runtime + ContextExt,
    F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
{
    crate::to_rust::run_async_generator(locals_of_call::<R>(), function)
}

fn locals_of_call<R: ContextExt>() -> PyResult<TaskLocals> {
    R::get_task_locals().map_or_else(locals::locals_of_call, Ok)
}

/// The name of `pyo3-async-runtimes` for [`into_stream`].
///
/// # Errors
///
/// Those of [`into_stream`].
#[cfg(feature = "unstable-streams")]
#[track_caller]
pub fn into_stream_v1<R>(generator: Bound<'_, PyAny>) -> PyResult<PyStream>
where
    R: Runtime + ContextExt,
{
    into_stream::<R>(generator)
}

/// Like [`into_stream_v1`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// Those of [`into_stream_with_locals`](crate::into_stream_with_locals).
#[cfg(feature = "unstable-streams")]
#[track_caller]
pub fn into_stream_with_locals_v1<R>(
    locals: TaskLocals,
    generator: Bound<'_, PyAny>,
) -> PyResult<PyStream>
where
    R: Runtime,
{
    crate::into_stream_with_locals(&locals, generator)
}

/// Like [`into_stream_v1`], without a `Result` for each item. An error ends the stream and goes to the loop's exception handler.
///
/// # Errors
///
/// Those of [`into_stream_v1`].
#[cfg(feature = "unstable-streams")]
#[track_caller]
pub fn into_stream_v2<R>(
    generator: Bound<'_, PyAny>,
) -> PyResult<impl Stream<Item = Py<PyAny>> + use<R>>
where
    R: Runtime + ContextExt,
{
    into_stream_with_locals_v2::<R>(get_current_locals::<R>(generator.py())?, generator)
}

/// Like [`into_stream_v2`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// Those of [`into_stream_with_locals`](crate::into_stream_with_locals).
#[cfg(feature = "unstable-streams")]
#[track_caller]
pub fn into_stream_with_locals_v2<R>(
    locals: TaskLocals,
    generator: Bound<'_, PyAny>,
) -> PyResult<impl Stream<Item = Py<PyAny>> + use<R>>
where
    R: Runtime + ContextExt,
{
    crate::into_stream_with_locals(&locals, generator)?.reporting(&locals)
}

/// Runs a Rust future on a new event loop in this thread, as `asyncio.run` runs a coroutine, and returns its result.
///
/// Handles remaining tasks, Ctrl-C and errors as [`custom::run`](crate::custom::run) does.
///
/// # Errors
///
/// The error of the future, [`RustPanic`](crate::err::RustPanic) if it panics, and `RuntimeError` if this thread already runs a
/// loop.
pub fn run<R, F, T>(py: Python<'_>, fut: F) -> PyResult<T>
where
    R: Runtime + ContextExt,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    crate::entry::run::<R, _, T>(py, None, scoped::<R, F>(fut))
}

/// Like [`run`], on a loop of the caller, which stays open.
///
/// # Errors
///
/// The errors of [`run`], and [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
pub fn run_until_complete<R, F, T>(event_loop: &Bound<'_, PyAny>, fut: F) -> PyResult<T>
where
    R: Runtime + ContextExt,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    crate::entry::run_until_complete::<R, _, T>(event_loop, scoped::<R, F>(fut))
}

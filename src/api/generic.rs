//! The functions and traits of `pyo3_async_runtimes::generic`, for programs that bring a runtime in that shape.
//!
//! A program for `pyo3-async-runtimes` compiles unchanged. One that starts here is better served by [`custom`](crate::custom),
//! whose trait asks for one function. A runtime that implements this [`Runtime`] is one of `custom` as well, so that the
//! functions which are only there (coroutines, eager start, `block_on`) take it too.
//!
//! # Where the locals are
//!
//! The runtime keeps the [`TaskLocals`] of its tasks itself, by [`ContextExt`]. A future that [`future_into_py`] or [`run`]
//! starts is wrapped in [`ContextExt::scope`], and [`get_current_locals`] and [`into_future`] first ask
//! [`ContextExt::get_task_locals`]. So a task that the program has spawned within `scope` by itself is known too.
//!
//! # What the runtime is asked for
//!
//! A future needs one [`Runtime::spawn`]. Its join handle is dropped, which has to leave the task running. Panics are caught
//! inside of the task, and results are converted on the event loop's thread, so that the bridge neither awaits a join handle nor
//! calls [`Runtime::spawn_blocking`].
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
//! struct Own;
//!
//! impl Runtime for Own {
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
//! impl ContextExt for Own {
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
//! let answer = generic::run::<Own, _, _>(py, async {
//!     let nap = Python::attach(|py| {
//!         let asyncio = py.import("asyncio")?;
//!         generic::into_future::<Own>(asyncio.call_method1("sleep", (0.01, 42))?)
//!     })?;
//!     let answer = nap.await?;
//!     Python::attach(|py| answer.extract::<u8>(py))
//! });
//! assert_eq!(answer.unwrap(), 42);
//! # });
//! ```

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::locals;
use crate::to_python::Plan;
use crate::{PyTask, TaskLocals, runtime};

/// Why a spawned task has no result.
pub trait JoinError {
    /// Whether the task panicked.
    fn is_panic(&self) -> bool;

    /// What the task panicked with.
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

/// A Rust runtime that gives a handle to each of its tasks.
///
/// Every such runtime is a [`custom::Runtime`](crate::custom::Runtime) too.
pub trait Runtime: Send + 'static {
    /// The error of a task that did not end by itself.
    type JoinError: JoinError + Send;

    /// Waits for the end of a task. Dropping it leaves the task running.
    type JoinHandle: Future<Output = Result<(), Self::JoinError>> + Send;

    /// Starts a future in the background. Called attached to the interpreter, on any thread; must not block.
    ///
    /// A runtime that has been shut down drops the future: whoever awaits it is told.
    fn spawn<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static;

    /// Calls a function on a thread that may block. The bridge has no use for it: it is for the program.
    fn spawn_blocking<F>(f: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static;
}

/// A runtime that runs futures which are not `Send`, on the thread that spawns them.
pub trait SpawnLocalExt: Runtime {
    /// Starts a future on this thread's local executor.
    ///
    /// # Panics
    ///
    /// May panic if this thread drives none.
    fn spawn_local<F>(fut: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + 'static;
}

/// A runtime that knows which event loop and context each of its tasks belongs to.
pub trait ContextExt: Runtime {
    /// A future that runs with the locals: while it is polled, [`get_task_locals`](Self::get_task_locals) gives them.
    fn scope<F, R>(locals: TaskLocals, fut: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static;

    /// The locals of the task that is being polled on this thread, if it has any.
    fn get_task_locals() -> Option<TaskLocals>;
}

/// [`ContextExt::scope`] for futures that are not `Send`.
pub trait LocalContextExt: Runtime {
    /// A future that runs with the locals.
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

/// The same runtime where it can run futures that are not `Send`.
struct Local<R>(PhantomData<fn() -> R>);

impl<R: SpawnLocalExt> runtime::Runtime for Local<R> {
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

/// Wraps a future in the runtime's own scope, with the locals that it is polled with.
async fn scoped<R, F>(future: F) -> F::Output
where
    R: ContextExt,
    F: Future<Output: Send> + Send + 'static,
{
    let locals = locals::current().expect("a crossing is polled with its locals in place");
    R::scope(locals, future).await
}

/// The event loop of the Rust task that is being polled on this thread or, outside of one, the running loop of the thread.
///
/// # Errors
///
/// `RuntimeError` if there is neither.
pub fn get_current_loop<R>(py: Python<'_>) -> PyResult<Bound<'_, PyAny>>
where
    R: ContextExt,
{
    match R::get_task_locals() {
        Some(locals) => Ok(locals.event_loop(py)),
        None => locals::get_current_loop(py),
    }
}

/// The locals of the Rust task that is being polled on this thread or, outside of one, the running loop of the thread with
/// a copy of the current context.
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

/// Starts a Rust future on the runtime and gives a Python future that settles with its result.
///
/// Cancelling it, dropping it, and calling this where no event loop is known do what they do with
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
    let plan = Plan::new().named_after::<F>();
    let plan = match R::get_task_locals() {
        Some(locals) => plan.locals(locals),
        None => plan,
    };
    plan.future::<R, _, T>(py, scoped::<R, F>(fut))
}

/// Like [`future_into_py`], on the loop and in the context of `locals`.
///
/// # Errors
///
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
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
    let plan = Plan::new().locals(locals);
    plan.future::<R, _, T>(py, scoped::<R, F>(fut))
}

/// Like [`future_into_py`], for a future that is not `Send` and so stays on this thread.
///
/// On the thread of the event loop that the Python future belongs to, the loop polls it. Elsewhere
/// [`SpawnLocalExt::spawn_local`] runs it.
///
/// # Errors
///
/// Those of [`future_into_py`], and `RuntimeError` where no event loop is known.
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
/// Those of [`local_future_into_py`].
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
        // It need not be `Send`, so it becomes a Python object on this thread.
        Python::attach(|py| value.into_py_any(py))
    };
    let plan = Plan::new().locals(locals);
    plan.local_future::<Local<R>, _, _>(py, converted)
}

/// Starts a Python awaitable as a task of the current loop and gives a Rust future of its result.
///
/// The loop and the context are those of [`get_current_locals`]. Called on any thread that is attached to the interpreter; what
/// comes back is awaited anywhere.
///
/// # Errors
///
/// `TypeError` if the object cannot be awaited, `RuntimeError` if no loop is known here, and
/// [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
pub fn into_future<R>(awaitable: Bound<'_, PyAny>) -> PyResult<PyTask>
where
    R: Runtime + ContextExt,
{
    let locals = get_current_locals::<R>(awaitable.py())?;
    crate::into_future_with_locals(&locals, awaitable)
}

/// Runs a Rust future on a new event loop in this thread, as `asyncio.run` runs a coroutine, and gives its result.
///
/// Leftover tasks, Ctrl-C and errors are treated as by [`custom::run`](crate::custom::run).
///
/// # Errors
///
/// The future's own error, [`RustPanic`](crate::err::RustPanic) if it panics, and `RuntimeError` in a thread that runs a loop
/// already.
pub fn run<R, F, T>(py: Python<'_>, fut: F) -> PyResult<T>
where
    R: Runtime + ContextExt,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    crate::entry::run::<R, _, T>(py, None, scoped::<R, F>(fut))
}

/// Like [`run`], on a loop of the caller's, which is not ended.
///
/// # Errors
///
/// Those of [`run`], and [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
pub fn run_until_complete<R, F, T>(event_loop: &Bound<'_, PyAny>, fut: F) -> PyResult<T>
where
    R: Runtime + ContextExt,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    crate::entry::run_until_complete::<R, _, T>(event_loop, scoped::<R, F>(fut))
}

//! Rust runtimes, as the bridge sees them: the [`Runtime`] trait, and a module for each runtime. Nothing here knows Python.

#[cfg(feature = "async-std-runtime")]
pub(crate) mod async_std;
#[cfg(feature = "smol-runtime")]
pub(crate) mod smol;
#[cfg(feature = "tokio-runtime")]
pub(crate) mod tokio;

use std::future::Future;

/// A Rust runtime, as the bridge sees it: the way to its executor.
///
/// The modules [`tokio`](crate::tokio), [`async_std`](crate::async_std) and [`smol`](crate::smol) each stand on one
/// implementation. To use another runtime, implement this trait and call the functions of [`custom`](crate::custom).
pub trait Runtime: 'static {
    /// Starts a future in the background. Called on any thread, attached to the interpreter. Must not block.
    ///
    /// A runtime that has been shut down drops the future. The Python side then gets
    /// [`RuntimeStopped`](crate::err::RuntimeStopped).
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static;

    /// Starts a future on the local executor that this thread drives.
    ///
    /// The default implementation is for runtimes without local executors, and returns every future.
    ///
    /// # Errors
    ///
    /// The future, if this thread is not inside a local executor.
    fn spawn_local<F>(future: F) -> Result<(), F>
    where
        F: Future<Output = ()> + 'static,
    {
        Err(future)
    }

    /// Whether this thread may block on a future. It may not if the runtime polls futures on it.
    ///
    /// Called detached from the interpreter. The default implementation returns `true`.
    fn may_block() -> bool {
        true
    }

    /// Runs a function in the runtime's context, in which its timers and sockets can be created.
    ///
    /// The default implementation only calls the function. It is for runtimes that have one reactor for the process.
    fn enter<R>(function: impl FnOnce() -> R) -> R {
        function()
    }

    /// Runs a function that drops a future, a stream or an output in the runtime's context. Must not start the runtime if it has
    /// been shut down. Called on any thread.
    ///
    /// A function for the event loop's thread (`call_soon`, `run_coroutine`, `and_then`), its output, and the items of a `PyStream` belong to
    /// no runtime in particular. They are dropped in tokio's context, if the crate's tokio is in use.
    ///
    /// The default implementation calls [`enter`](Self::enter).
    fn enter_to_drop(function: impl FnOnce()) {
        Self::enter(function);
    }
}

/// Runs a function that drops a value in the context of the runtime that it may belong to. Only tokio has a context.
pub(crate) fn enter_any_to_drop(function: impl FnOnce()) {
    #[cfg(feature = "tokio-runtime")]
    tokio::enter_latest(function);
    #[cfg(not(feature = "tokio-runtime"))]
    function();
}

/// A runtime on which the attributes can start a program or a test.
#[cfg(feature = "attributes")]
pub trait Standalone: Runtime {
    /// The runtime options of the attribute.
    type Options: Send + 'static;

    /// Configures the program's runtime. Called once, before anything uses it.
    fn init(options: Self::Options);

    /// Runs a future on this thread: on a new runtime if there are options for it, or on the program's.
    #[cfg(feature = "testing")]
    fn block_on<F: Future>(options: Option<Self::Options>, future: F) -> F::Output;
}

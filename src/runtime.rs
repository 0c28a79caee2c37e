//! What the bridge asks of a Rust runtime: how to reach its executor, and nothing else. Runtimes do not see Python.

#[cfg(feature = "async-std-runtime")]
pub(crate) mod async_std;
#[cfg(feature = "smol-runtime")]
pub(crate) mod smol;
#[cfg(feature = "tokio-runtime")]
pub(crate) mod tokio;

use std::future::Future;

/// A Rust runtime, as the bridge sees it: how futures get onto its executor.
///
/// The modules [`tokio`](crate::tokio), [`async_std`](crate::async_std) and [`smol`](crate::smol) are made from one
/// implementation each. Implement it for a runtime of your own to use that with the functions of
/// [`custom`](crate::custom).
pub trait Runtime: 'static {
    /// Starts a future in the background. Called from any thread, attached to the interpreter; must not block.
    ///
    /// A runtime that has been shut down drops the future: whoever awaits it is told.
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static;

    /// Starts a future on the executor that this thread itself drives, if it is inside of one; gives it back otherwise.
    ///
    /// A runtime without such executors gives every future back, as this does unless it is overridden.
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

    /// Whether this thread may wait for a future: not if it is one that the runtime polls futures on.
    ///
    /// Called detached from the interpreter. Says yes unless it is overridden.
    fn may_block() -> bool {
        true
    }

    /// Runs a function in the runtime's context, where its timers and sockets can be made.
    ///
    /// A runtime that needs none, as those with a reactor for the process, just calls it, as this does unless it is
    /// overridden.
    fn enter<R>(function: impl FnOnce() -> R) -> R {
        function()
    }
}

/// A runtime that the attributes can start a program or a test on.
#[cfg(feature = "attributes")]
pub trait Standalone: Runtime {
    /// What the attribute's options say of the runtime.
    type Options: Send + 'static;

    /// Chooses how the program's runtime is built. Called once, before anything uses it.
    fn init(options: Self::Options);

    /// Runs a future on this thread, on the program's runtime, or on one of its own if there are options for it.
    #[cfg(feature = "testing")]
    fn block_on<F: Future>(options: Option<Self::Options>, future: F) -> F::Output;
}

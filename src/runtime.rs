//! What the bridge asks of a Rust runtime: how to reach its executor, and nothing else. Runtimes do not see Python.

#[cfg(feature = "tokio-runtime")]
pub(crate) mod tokio;

use std::future::Future;

/// A Rust runtime.
pub(crate) trait Runtime: 'static {
    /// Starts a future in the background. Called from any thread; must not block.
    ///
    /// A runtime that is shut down drops the future instead.
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static;
}

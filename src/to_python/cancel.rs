//! Cancellation that the Rust future receives, instead of being dropped. [`cancel_slot`](crate::sync::cancel_slot) is the protocol.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use crate::sync::cancel_slot::CancelSlot;

/// Tells a Rust future that Python cancels its coroutine. The future can then clean up, and await while it does.
///
/// Without a handle, cancelling a coroutine drops its Rust future at once. With a handle, the future receives each cancellation
/// (`task.cancel()`, `asyncio.timeout`, the end of a task group or of the loop) and runs on until it returns. It should soon
/// return the error that it received. The coroutine ends with what the future returns. Closing or dropping the coroutine still
/// drops the future. So does a cancellation after the handle is dropped, so that code after a handle's scope cannot delay the end
/// of the task.
///
/// No cancellation is lost. If the future returns a value without having received a cancellation from
/// [`cancelled`](Self::cancelled), the coroutine ends with that cancellation, as an asyncio task does. If the future returns an
/// error, the coroutine raises that error. If the handle is dropped with a cancellation left in it, the future is dropped.
///
/// A cancel scope of anyio cancels at each turn of the loop until the task has ended. The future receives each of these.
///
/// Get a handle from `into_cancellable_coroutine` of a runtime's module, or from the attributes, with a parameter that is marked
/// `#[pyo3(cancel_handle)]`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pyo3::prelude::*;
/// use pyo3_asyncio::CancelHandle;
///
/// #[pyfunction]
/// fn serve(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
///     pyo3_asyncio::tokio::into_cancellable_coroutine(py, |mut cancel: CancelHandle| async move {
///         tokio::select! {
///             () = tokio::time::sleep(Duration::from_secs(3600)) => Ok(()),
///             cancelled = cancel.cancelled() => {
///                 // Say goodbye to the clients.
///                 tokio::time::sleep(Duration::from_millis(10)).await;
///                 Err(cancelled)
///             }
///         }
///     })
/// }
/// ```
pub struct CancelHandle(Arc<CancelSlot<PyErr>>);

impl CancelHandle {
    pub(super) fn new() -> (Self, OnCancel) {
        let slot = Arc::new(CancelSlot::new());
        (Self(Arc::clone(&slot)), OnCancel::Tell(slot))
    }

    /// Whether Python has cancelled the coroutine at least once. This call receives no cancellation.
    pub fn is_cancelled(&self) -> bool {
        self.0.was_handed()
    }

    /// Waits for the next cancellation and returns its `CancelledError`.
    ///
    /// Returns at once if a cancellation has come that no call has returned yet. Dropping the returned future loses none.
    pub fn cancelled(&mut self) -> impl Future<Output = PyErr> + Send + '_ {
        Cancelled(&self.0)
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

impl Drop for CancelHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Cancelled<'a>(&'a CancelSlot<PyErr>);

impl Future for Cancelled<'_> {
    type Output = PyErr;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyErr> {
        self.0.poll_taken(cx.waker())
    }
}

/// What a cancellation does to the Rust future.
pub(super) enum OnCancel {
    Drop,
    /// The future goes on to its end.
    Detach,
    /// The future is told.
    Tell(Arc<CancelSlot<PyErr>>),
}

//! A cancellation that is handed to the Rust future, instead of dropping it. The protocol is told in
//! [`cancel_slot`](crate::sync::cancel_slot).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use pyo3::prelude::*;

use super::future::RustFuture;
use crate::asyncio;
use crate::sync::cancel_slot::CancelSlot;

/// How a coroutine that was made with one hears that Python cancels it: it may then clean up, and await while it does.
///
/// Without one, a cancelled coroutine drops its Rust future on the spot. With one, each `task.cancel()`, and everything
/// that comes to one (`asyncio.timeout`, a task group that ends, the end of the loop), is handed to the future, which goes
/// on until it returns. It should return soon, with the error that it was handed; what it returns is what the coroutine
/// ends with. A coroutine that is closed or dropped still drops its future, and so does a cancellation once the handle is
/// dropped: what comes after a handle that went out of scope cannot hold up the task's end.
///
/// No cancellation is lost. One that [`cancelled`](Self::cancelled) has not given to the future is what the coroutine ends with,
/// where the future returns a value without it, as a task of asyncio's does; an error of the future's own is passed on. One that
/// is left when the handle is dropped before the future is done drops the future.
///
/// Cancel scopes of anyio cancel again at each turn of the loop until the task has ended. Each of these is handed over.
///
/// It comes from `into_cancellable_coroutine` of a runtime's module, or from the attributes, for a parameter marked
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
///                 // Say goodbye to the clients, which takes its time.
///                 tokio::time::sleep(Duration::from_millis(10)).await;
///                 Err(cancelled)
///             }
///         }
///     })
/// }
/// ```
pub struct CancelHandle(Arc<CancelSlot<PyErr>>);

impl CancelHandle {
    pub(super) fn new() -> (Self, Cancellation) {
        let slot = Arc::new(CancelSlot::new());
        (Self(Arc::clone(&slot)), Cancellation(slot))
    }

    /// Whether Python has cancelled the coroutine, once or more. Asking takes no cancellation.
    pub fn is_cancelled(&self) -> bool {
        self.0.was_handed()
    }

    /// Waits for the next cancellation and gives its `CancelledError`.
    ///
    /// One that came before this call counts, if nobody has been given it. Dropping what this returns loses none.
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

pin_project! {
    /// A future that has a handle, or had one.
    pub(super) struct Cancellable<F> {
        #[pin]
        future: F,
        // Dropped after the future, which may have the handle.
        end: End,
    }
}

impl<F, T> Future for Cancellable<F>
where
    F: Future<Output = PyResult<T>>,
{
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyResult<T>> {
        let this = self.project();
        match this.future.poll(cx) {
            Poll::Pending => this.end.0.poll_left(cx.waker()).map(Err),
            Poll::Ready(Ok(value)) => match this.end.0.take_and_close() {
                Some(cancelled) => Poll::Ready(Err(cancelled)),
                None => Poll::Ready(Ok(value)),
            },
            failed => {
                drop(this.end.0.take_and_close());
                failed
            }
        }
    }
}

/// Leaves nothing in the slot.
struct End(Arc<CancelSlot<PyErr>>);

impl Drop for End {
    fn drop(&mut self) {
        drop(self.0.take_and_close());
    }
}

/// Python's end of the slot.
pub(super) struct Cancellation(Arc<CancelSlot<PyErr>>);

impl Cancellation {
    /// Wraps the future that has the handle.
    pub(super) fn around<F>(&self, future: F) -> Cancellable<F> {
        Cancellable {
            future,
            end: End(Arc::clone(&self.0)),
        }
    }

    /// Makes the Python object of a future that is cancelled through the slot.
    pub(super) fn cancels(
        self,
        py: Python<'_>,
        future: RustFuture,
    ) -> PyResult<Bound<'_, RustFuture>> {
        let future = PyClassInitializer::from(future).add_subclass(CancellableRustFuture(self));
        Ok(Bound::new(py, future)?.into_super())
    }
}

/// A RustFuture whose cancellation is up to the Rust future.
#[pyclass(frozen, extends = RustFuture, module = "pyo3_asyncio")]
struct CancellableRustFuture(Cancellation);

#[pymethods]
impl CancellableRustFuture {
    /// Asks the Rust future to end. False if it is done already.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Bound<'_, PyAny>>) -> PyResult<bool> {
        let future = slf.as_super().get();
        if future.done() {
            return Ok(false);
        }
        let error = asyncio::cancelled_error(slf.py(), msg.as_ref())?;
        if slf.get().hand(PyErr::from_value(error)) {
            return Ok(true);
        }
        future.cancel(slf.py(), msg.map(Bound::unbind))
    }
}

impl CancellableRustFuture {
    fn hand(&self, cancellation: PyErr) -> bool {
        let Cancellation(slot) = &self.0;
        slot.hand(cancellation)
    }
}

/// Hands an error that is thrown into a coroutine to the future that it waits for, if that is a cancellation, and the
/// future takes cancellations.
pub(super) fn hand_over(future: &Bound<'_, RustFuture>, error: &PyErr) -> PyResult<bool> {
    let py = future.py();
    let Ok(cancellable) = future.cast::<CancellableRustFuture>() else {
        return Ok(false);
    };
    if future.get().done() || !asyncio::is_cancelled_error(py, error)? {
        return Ok(false);
    }
    let is_handed = cancellable.get().hand(error.clone_ref(py));
    if is_handed {
        future.get().forget_wait();
    }
    Ok(is_handed)
}

//! A cancellation that is handed to the Rust future, instead of dropping it.
//!
//! # Protocol
//!
//! 1. Python leaves a cancellation in the slot, on the loop's thread, and takes the waker out; it wakes after the lock is released.
//! 2. The Rust future looks into the slot and leaves its waker if it is empty. It looks again after that, since it let go of
//!    the lock to clone the waker. So either it saw the cancellation, or it is woken.
//! 3. A cancellation is taken once. One that comes before the last was taken takes its place.
//! 4. The Rust future ends its part by dropping the handle. Python leaves nothing in the slot after that: a cancellation then
//!    drops the Rust future, as it does where there is no slot.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

use super::future::RustFuture;
use crate::asyncio;
use crate::error::{Quiet, quietly};
use crate::primitive::{Mutex, lock};

/// How a coroutine that was made with one hears that Python cancels it: it may then clean up, and await while it does.
///
/// Without one, a cancelled coroutine drops its Rust future on the spot. With one, each `task.cancel()`, and everything
/// that comes to one (`asyncio.timeout`, a task group that ends, the end of the loop), is handed to the future, which goes
/// on until it returns. It should return soon, with the error that it was handed; what it returns is what the coroutine
/// ends with. A coroutine that is closed or dropped still drops its future, and so does a cancellation once the handle is
/// dropped: what comes after a handle that went out of scope cannot hold up the task's end.
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
pub struct CancelHandle(Arc<Slot<PyErr>>);

impl CancelHandle {
    pub(super) fn new() -> (Self, CancelSlot) {
        let slot = Arc::new(Slot::new());
        (Self(Arc::clone(&slot)), CancelSlot(slot))
    }

    /// Whether Python has cancelled the coroutine, once or more.
    pub fn is_cancelled(&self) -> bool {
        lock(&self.0.0).handed
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

struct Cancelled<'a>(&'a Slot<PyErr>);

impl Future for Cancelled<'_> {
    type Output = PyErr;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyErr> {
        self.0.poll_taken(cx.waker())
    }
}

/// Python's end.
pub(super) struct CancelSlot(Arc<Slot<PyErr>>);

impl CancelSlot {
    /// Makes the Python object of a future that is cancelled through this slot.
    pub(super) fn cancelled_by(
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
struct CancellableRustFuture(CancelSlot);

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
        if slf.get().0.0.hand(PyErr::from_value(error)) {
            return Ok(true);
        }
        future.cancel(slf.py(), msg.map(Bound::unbind))
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
    let handed = cancellable.get().0.0.hand(error.clone_ref(py));
    if handed {
        future.get().forget_wait();
    }
    Ok(handed)
}

/// Where a cancellation lies between the two.
struct Slot<C>(Mutex<Handing<C>>);

struct Handing<C> {
    cancellation: Option<C>,
    handed: bool,
    waker: Option<Waker>,
    /// The handle is gone.
    closed: bool,
}

impl<C> Slot<C> {
    fn new() -> Self {
        Self(Mutex::new(Handing {
            cancellation: None,
            handed: false,
            waker: None,
            closed: false,
        }))
    }

    /// False if the handle is gone.
    fn hand(&self, cancellation: C) -> bool {
        let mut handing = lock(&self.0);
        if handing.closed {
            drop(handing);
            return false;
        }
        let previous = handing.cancellation.replace(cancellation);
        handing.handed = true;
        let waker = handing.waker.take();
        drop(handing);
        drop(previous);
        if let Some(waker) = waker {
            // The user's code: its panic is not for Python, which only cancels.
            quietly(|| waker.wake());
        }
        true
    }

    fn close(&self) {
        let mut handing = lock(&self.0);
        handing.closed = true;
        let left = (
            handing.cancellation.take(),
            handing.waker.take().map(Quiet::new),
        );
        drop(handing);
        drop(left);
    }

    fn poll_taken(&self, waker: &Waker) -> Poll<C> {
        if let Some(cancellation) = lock(&self.0).cancellation.take() {
            return Poll::Ready(cancellation);
        }
        // Cloning and dropping a waker runs the runtime's code, which must not find the lock held.
        let waker = waker.clone();
        let mut handing = lock(&self.0);
        let previous = handing.waker.replace(waker);
        let cancellation = handing.cancellation.take();
        drop(handing);
        drop(previous.map(Quiet::new));
        cancellation.map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod loom_models {
    use std::task::Wake;

    use crate::primitive::models::{model, thread};
    use crate::primitive::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn counting_waker() -> (Waker, Arc<Count>) {
        let wakes = Arc::new(Count(AtomicUsize::new(0)));
        (Waker::from(Arc::clone(&wakes)), wakes)
    }

    fn hand_in_a_thread(slot: &Arc<Slot<u8>>, cancellation: u8) -> thread::JoinHandle<bool> {
        let slot = Arc::clone(slot);
        thread::spawn(move || slot.hand(cancellation))
    }

    #[test]
    fn loom_a_future_saw_its_cancellation_or_is_woken_for_it() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let slot = Arc::new(Slot::new());
            let canceller = hand_in_a_thread(&slot, 1);
            let seen = slot.poll_taken(&waker);
            assert!(canceller.join().unwrap());
            if seen.is_pending() {
                assert_eq!(wakes.0.load(SeqCst), 1);
                assert_eq!(slot.poll_taken(&waker), Poll::Ready(1));
            }
            assert_eq!(slot.poll_taken(&waker), Poll::Pending);
        });
    }

    #[test]
    fn loom_a_new_waker_takes_the_place_of_the_old_one() {
        model(|| {
            let (old, _) = counting_waker();
            let (new, wakes) = counting_waker();
            let slot = Arc::new(Slot::new());
            assert!(slot.poll_taken(&old).is_pending());
            let canceller = hand_in_a_thread(&slot, 1);
            let seen = slot.poll_taken(&new);
            canceller.join().unwrap();
            if seen.is_pending() {
                assert_eq!(wakes.0.load(SeqCst), 1);
            }
        });
    }

    #[test]
    fn loom_each_of_two_cancellations_is_taken_once_or_replaced() {
        model(|| {
            let (waker, _) = counting_waker();
            let slot = Arc::new(Slot::new());
            // Python hands them over one after the other: it has one thread for that.
            let canceller = {
                let slot = Arc::clone(&slot);
                thread::spawn(move || slot.hand(1) && slot.hand(2))
            };
            let mut taken = Vec::new();
            let mut take = |seen: Poll<u8>| {
                if let Poll::Ready(cancellation) = seen {
                    taken.push(cancellation);
                }
            };
            take(slot.poll_taken(&waker));
            assert!(canceller.join().unwrap());
            take(slot.poll_taken(&waker));
            take(slot.poll_taken(&waker));
            assert!(taken == [1, 2] || taken == [2], "{taken:?}");
        });
    }

    #[test]
    fn loom_a_closed_slot_keeps_nothing() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let slot = Arc::new(Slot::new());
            assert!(slot.poll_taken(&waker).is_pending());
            let canceller = hand_in_a_thread(&slot, 1);
            slot.close();
            let handed = canceller.join().unwrap();
            assert_eq!(wakes.0.load(SeqCst), usize::from(handed));
            assert!(lock(&slot.0).cancellation.is_none());
            assert_eq!(Arc::strong_count(&wakes), 2);
            assert!(!slot.hand(2));
        });
    }
}

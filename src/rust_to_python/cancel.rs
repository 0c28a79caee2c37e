//! A cancellation that is handed to the Rust future, instead of dropping it.
//!
//! # Protocol
//!
//! 1. Python leaves a cancellation in the slot, on the loop's thread, and takes the waker out; it wakes after the lock is released.
//! 2. The Rust future looks into the slot and leaves its waker if it is empty. It looks again after that, since it let go of
//!    the lock to clone the waker. So either it saw the cancellation, or it is woken.
//! 3. A cancellation is taken once. One that comes before the last was taken takes its place.
//! 4. The Rust future ends its part by dropping the handle, or by being done. Python leaves nothing in the slot after that: a
//!    cancellation then drops the Rust future, as it does where there is no slot.
//! 5. Python was told that a cancellation in the slot counts. One that is left when the slot closes is for [`Cancellable`],
//!    around the future: it looks after each poll, and is woken if the handle is dropped elsewhere. Taking what is left
//!    and closing is one step, so nothing comes in between.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use pyo3::prelude::*;

use super::future::RustFuture;
use super::lent::Withdraw;
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
pub struct CancelHandle(Arc<Slot<PyErr>>);

impl CancelHandle {
    pub(super) fn new() -> (Self, CancelSlot) {
        let slot = Arc::new(Slot::new());
        (Self(Arc::clone(&slot)), CancelSlot { slot, lent: None })
    }

    /// Whether Python has cancelled the coroutine, once or more. Asking takes no cancellation.
    pub fn is_cancelled(&self) -> bool {
        lock(&self.0.0).handed
    }

    /// Waits for the next cancellation and gives its `CancelledError`.
    ///
    /// One that came before this call counts, if nobody has been given it. Dropping what this returns loses none.
    pub fn cancelled(&mut self) -> impl Future<Output = PyErr> + Send + '_ {
        Cancelled(&self.0)
    }

    /// Takes the cancellation that is left, after which Python leaves none: it cancels by itself then.
    #[cfg_attr(
        not(feature = "attributes"),
        allow(dead_code, reason = "it is for what the attributes export")
    )]
    pub(crate) fn take_and_close(&mut self) -> Option<PyErr> {
        self.0.take_and_close()
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
struct End(Arc<Slot<PyErr>>);

impl Drop for End {
    fn drop(&mut self) {
        drop(self.0.take_and_close());
    }
}

/// Python's end.
pub(super) struct CancelSlot {
    slot: Arc<Slot<PyErr>>,
    /// The way to a future that borrows its object.
    lent: Option<Arc<dyn Withdraw>>,
}

impl CancelSlot {
    pub(super) fn lent(self, lent: Arc<dyn Withdraw>) -> Self {
        Self {
            lent: Some(lent),
            ..self
        }
    }

    /// The future that has the handle, as it is to be run.
    pub(super) fn around<F>(&self, future: F) -> Cancellable<F> {
        Cancellable {
            future,
            end: End(Arc::clone(&self.slot)),
        }
    }

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
        if slf.get().0.slot.hand(PyErr::from_value(error)) {
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
    let handed = cancellable.get().0.slot.hand(error.clone_ref(py));
    if handed {
        future.get().forget_wait();
    }
    Ok(handed)
}

/// Drops the Rust future, if it is not done: its coroutine has ended without it.
pub(super) fn discard(future: &Bound<'_, RustFuture>) -> PyResult<()> {
    future.get().discard(future.py())?;
    withdraw(future);
    Ok(())
}

/// The same at the end of its coroutine, which may come on any thread: whoever else waits hears from the drain.
pub(super) fn forsake(future: &Bound<'_, RustFuture>) {
    future.get().forsake();
    withdraw(future);
}

/// Gives the borrow back that the future holds, if it is a borrowing one.
fn withdraw(future: &Bound<'_, RustFuture>) {
    // What a fork left behind in the parent is not dropped in the child.
    if future.get().shared.mailbox.is_inherited() {
        return;
    }
    if let Ok(cancellable) = future.cast::<CancellableRustFuture>() {
        if let Some(lent) = &cancellable.get().0.lent {
            lent.withdraw(future.py());
        }
    }
}

/// Where a cancellation lies between the two.
struct Slot<C>(Mutex<Handing<C>>);

struct Handing<C> {
    cancellation: Option<C>,
    handed: bool,
    /// Who waits for a cancellation.
    waker: Option<Waker>,
    /// Who runs the future, and may be another.
    task: Option<Waker>,
    /// The handle is gone, or the future is done.
    closed: bool,
}

impl<C> Slot<C> {
    fn new() -> Self {
        Self(Mutex::new(Handing {
            cancellation: None,
            handed: false,
            waker: None,
            task: None,
            closed: false,
        }))
    }

    /// False if it is closed.
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

    /// The handle is dropped. A cancellation that is left stays for who runs the future.
    fn close(&self) {
        let mut handing = lock(&self.0);
        handing.closed = true;
        let (waker, task) = (handing.waker.take(), handing.task.take());
        let is_left = handing.cancellation.is_some();
        drop(handing);
        drop(waker.map(Quiet::new));
        match task {
            Some(task) if is_left => quietly(|| task.wake()),
            task => drop(task.map(Quiet::new)),
        }
    }

    fn take_and_close(&self) -> Option<C> {
        let mut handing = lock(&self.0);
        handing.closed = true;
        let wakers = [handing.waker.take(), handing.task.take()];
        let left = handing.cancellation.take();
        drop(handing);
        drop(wakers.map(|waker| waker.map(Quiet::new)));
        left
    }

    fn poll_taken(&self, waker: &Waker) -> Poll<C> {
        self.poll_with(
            waker,
            |handing| handing.cancellation.take(),
            |handing| &mut handing.waker,
        )
    }

    /// What is left once the slot is closed.
    fn poll_left(&self, waker: &Waker) -> Poll<C> {
        let take = |handing: &mut Handing<C>| match handing.closed {
            true => handing.cancellation.take(),
            false => None,
        };
        self.poll_with(waker, take, |handing| &mut handing.task)
    }

    fn poll_with(
        &self,
        waker: &Waker,
        take: impl Fn(&mut Handing<C>) -> Option<C>,
        left: impl Fn(&mut Handing<C>) -> &mut Option<Waker>,
    ) -> Poll<C> {
        let mut handing = lock(&self.0);
        if let Some(cancellation) = take(&mut handing) {
            return Poll::Ready(cancellation);
        }
        if left(&mut handing)
            .as_ref()
            .is_some_and(|it| it.will_wake(waker))
        {
            return Poll::Pending;
        }
        // Cloning and dropping a waker runs the runtime's code, which must not find the lock held.
        drop(handing);
        let waker = waker.clone();
        let mut handing = lock(&self.0);
        let previous = left(&mut handing).replace(waker);
        let cancellation = take(&mut handing);
        drop(handing);
        drop(previous.map(Quiet::new));
        cancellation.map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod loom_models {
    use crate::primitive::models::{counting_waker, model, thread};

    use super::*;

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
                assert_eq!(wakes.count(), 1);
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
                assert_eq!(wakes.count(), 1);
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
    fn loom_a_cancellation_is_refused_or_left_for_who_ends_the_future() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let slot = Arc::new(Slot::new());
            assert!(slot.poll_taken(&waker).is_pending());
            let canceller = hand_in_a_thread(&slot, 1);
            let left = slot.take_and_close();
            let handed = canceller.join().unwrap();
            assert_eq!(left, handed.then_some(1));
            assert_eq!(wakes.count(), usize::from(handed));
            assert!(!slot.hand(2));
            // Neither a cancellation nor a waker stays.
            assert_eq!(slot.take_and_close(), None);
            assert_eq!(Arc::strong_count(&wakes), 2);
        });
    }

    #[test]
    fn loom_a_cancellation_that_the_handle_leaves_wakes_who_runs_the_future() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let slot = Arc::new(Slot::new());
            let holder = {
                let slot = Arc::clone(&slot);
                // Handed over, and never asked for.
                thread::spawn(move || {
                    assert!(slot.hand(1));
                    slot.close();
                })
            };
            let seen = slot.poll_left(&waker);
            holder.join().unwrap();
            assert!(!slot.hand(2));
            if seen.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert_eq!(slot.poll_left(&waker), Poll::Ready(1));
            }
            assert_eq!(slot.poll_left(&waker), Poll::Pending);
        });
    }

    #[test]
    fn loom_a_handle_that_leaves_no_cancellation_wakes_nobody() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let slot = Arc::new(Slot::<u8>::new());
            let holder = {
                let slot = Arc::clone(&slot);
                thread::spawn(move || slot.close())
            };
            assert!(slot.poll_left(&waker).is_pending());
            holder.join().unwrap();
            assert_eq!(wakes.count(), 0);
        });
    }
}

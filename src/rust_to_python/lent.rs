//! The Rust future of a method that borrows its object, where Python can reach it: whoever ends the coroutine has the future
//! dropped, and the borrow given back, before Python goes on.
//!
//! # Protocol
//!
//! 1. The future lies in its place. A poll takes it out, and puts it back when it has returned or panicked.
//! 2. Python withdraws it once the crossing has been told, so that no other poll begins. One that is at rest is dropped by who
//!    withdraws it, detached and inside the runtime's context.
//! 3. One that is being polled is dropped by the poll instead of put back, and who withdraws it waits for that, detached. Not
//!    for its own poll, and not for ever: a poll may be waiting for the thread that waits for it. The runtime, which hears that
//!    the crossing was told, may be the first to drop the future: that is waited for in the same way.
//! 4. The lock is held for a change of the place only, and is not taken while detached: a child of a fork finds it free.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::error::quietly;
use crate::primitive::thread::{self, Thread, ThreadId};
use crate::primitive::{Mutex, lock};
use crate::process;
use crate::runtime::Runtime;

/// How long who withdraws a future waits for the poll that is under way.
const PATIENCE: Duration = Duration::from_millis(250);

/// Lends the future to the runtime. What comes first is polled, what comes second is Python's.
pub(super) fn lend<R, F>(future: F) -> (Borrower<R, F>, Arc<dyn Withdraw>)
where
    R: Runtime,
    F: Future + Unpin + Send + 'static,
{
    let lent = Arc::new(Lent(
        Mutex::new(Place::AtRest(future)),
        PhantomData::<fn() -> R>,
    ));
    (Borrower(Arc::clone(&lent)), lent)
}

/// Where the future lies.
struct Lent<R, F>(Mutex<Place<F>>, PhantomData<fn() -> R>);

enum Place<F> {
    AtRest(F),
    Polled {
        by: ThreadId,
    },
    /// Polled, and then to be dropped.
    Withdrawn {
        by: ThreadId,
        who_waits: Thread,
    },
    Empty,
}

impl<R, F> Lent<R, F> {
    /// For a poll, or for the runtime to drop it.
    fn take(&self) -> Option<F> {
        let mut place = lock(&self.0);
        let by = thread::current().id();
        match std::mem::replace(&mut *place, Place::Polled { by }) {
            Place::AtRest(future) => Some(future),
            other => {
                *place = other;
                None
            }
        }
    }

    /// After a poll. Drops it if it was withdrawn meanwhile.
    fn put_back(&self, future: F) {
        let mut place = lock(&self.0);
        if !matches!(*place, Place::Withdrawn { .. }) {
            *place = Place::AtRest(future);
            return;
        }
        drop(place);
        let _end = End(self);
        quietly(|| drop(future));
    }

    /// Takes it out for good, or tells the poll that is under way to drop it.
    fn withdraw(&self) -> Option<F> {
        let mut place = lock(&self.0);
        match std::mem::replace(&mut *place, Place::Empty) {
            Place::AtRest(future) => return Some(future),
            Place::Polled { by } => {
                let who_waits = thread::current();
                *place = Place::Withdrawn { by, who_waits };
            }
            other => *place = other,
        }
        None
    }

    /// Waits until no other thread is about to drop it, by `park`, which says whether to go on.
    fn wait(&self, mut park: impl FnMut() -> bool) {
        while self.is_with_another() && park() {}
    }

    /// Whether another thread is about to drop it.
    fn is_with_another(&self) -> bool {
        let me = thread::current().id();
        matches!(*lock(&self.0), Place::Withdrawn { by, .. } if by != me)
    }
}

/// Python's end.
pub(super) trait Withdraw: Send + Sync {
    /// Has the future dropped. The crossing has been told.
    fn withdraw(&self, py: Python<'_>);
}

impl<R, F> Withdraw for Lent<R, F>
where
    R: Runtime,
    F: Send,
{
    fn withdraw(&self, py: Python<'_>) {
        if let Some(future) = Lent::withdraw(self) {
            let _turn = process::turn(py);
            process::detach(py, || R::enter(|| quietly(|| drop(future))));
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        self.wait(|| {
            py.detach(|| thread::park_timeout(deadline - Instant::now()));
            Instant::now() < deadline
        });
    }
}

/// The runtime's end: the future, as long as Python leaves it.
pub(super) struct Borrower<R, F>(Arc<Lent<R, F>>);

impl<R, F> Future for Borrower<R, F>
where
    F: Future + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let lent = &*self.0;
        match lent.take() {
            Some(future) => {
                let mut polled = OutOfPlace(lent, Some(future));
                let future = polled.1.as_mut().expect("it is put back by the drop");
                Pin::new(future).poll(cx)
            }
            // The task has been woken to see that Python ended it.
            None => Poll::Pending,
        }
    }
}

impl<R, F> Drop for Borrower<R, F> {
    fn drop(&mut self) {
        if let Some(future) = self.0.take() {
            let _end = End(&self.0);
            drop(future);
        }
    }
}

/// Leaves the place empty once the future is dropped, and tells who waits for that.
struct End<'a, R, F>(&'a Lent<R, F>);

impl<R, F> Drop for End<'_, R, F> {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *lock(&self.0.0), Place::Empty);
        if let Place::Withdrawn { who_waits, .. } = left {
            who_waits.unpark();
        }
    }
}

struct OutOfPlace<'a, R, F>(&'a Lent<R, F>, Option<F>);

impl<R, F> Drop for OutOfPlace<'_, R, F> {
    fn drop(&mut self) {
        if let Some(future) = self.1.take() {
            self.0.put_back(future);
        }
    }
}

#[cfg(test)]
mod loom_models {
    use super::*;
    use crate::primitive::models::{model, thread};
    use crate::primitive::thread::park;
    use crate::primitive::{AtomicUsize, Ordering::SeqCst};

    struct Tracked(Arc<AtomicUsize>);

    impl Drop for Tracked {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn lent() -> (Arc<Lent<(), Tracked>>, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        let place = Place::AtRest(Tracked(Arc::clone(&drops)));
        (Arc::new(Lent(Mutex::new(place), PhantomData)), drops)
    }

    fn poll(lent: &Lent<(), Tracked>) -> bool {
        let future = lent.take();
        let is_polled = future.is_some();
        drop(OutOfPlace(lent, future));
        is_polled
    }

    #[test]
    fn loom_a_future_that_is_withdrawn_is_dropped_once_by_either_side() {
        model(|| {
            let (lent, drops) = lent();
            let poller = {
                let lent = Arc::clone(&lent);
                thread::spawn(move || (poll(&lent), poll(&lent)))
            };
            drop(lent.withdraw());
            let (first, second) = poller.join().unwrap();
            assert!(first || !second);
            assert_eq!(drops.load(SeqCst), 1);
            assert!(!poll(&lent));
        });
    }

    #[test]
    fn loom_two_that_withdraw_drop_it_once() {
        model(|| {
            let (lent, drops) = lent();
            let other = {
                let lent = Arc::clone(&lent);
                thread::spawn(move || drop(lent.withdraw()))
            };
            poll(&lent);
            drop(lent.withdraw());
            other.join().unwrap();
            assert_eq!(drops.load(SeqCst), 1);
            assert!(!poll(&lent));
        });
    }

    /// Withdraws it while another thread does something to it, and waits as Python does.
    fn withdraw_during(act: fn(Borrower<(), Tracked>)) {
        model(move || {
            let (lent, drops) = lent();
            let runtime = {
                let borrower = Borrower(Arc::clone(&lent));
                thread::spawn(move || act(borrower))
            };
            drop(lent.withdraw());
            lent.wait(|| {
                park();
                true
            });
            assert_eq!(drops.load(SeqCst), 1, "Python goes on");
            runtime.join().unwrap();
        });
    }

    #[test]
    fn loom_who_withdraws_a_future_waits_for_its_poll() {
        withdraw_during(|borrower| {
            poll(&borrower.0);
        });
    }

    #[test]
    fn loom_who_withdraws_a_future_waits_for_the_runtime_that_drops_it() {
        withdraw_during(drop);
    }
}

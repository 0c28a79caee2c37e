//! The lock between a Rust task and Python, and how Python tells the task that nobody wants its result.
//!
//! Knows nothing of Python: `P` is what Python sees, and may be settled.
//!
//! # Protocol
//!
//! 1. `P` and the waker of the Rust task lie under one lock.
//! 2. The task calls `poll_allowed` before it polls the user's future: the answer is no once `P` is settled, otherwise the
//!    waker is kept. It looks again after it has left the waker, since it let go of the lock to clone it.
//! 3. Whoever settles `P` from Python's side does so in `settle`, which takes the waker and wakes it after the lock is
//!    released. So either the task saw that before it polled, or it is woken and will see it: the user's future is dropped
//!    promptly, and is never polled after the task has been told.
//! 4. `finish` lets go of the waker once the future is done: what is settled later has nobody to wake.

use std::ops::{Deref, DerefMut};
use std::task::Waker;

use crate::error::{Quiet, quietly};
use crate::primitive::{Mutex, MutexGuard, lock};

pub(super) trait Settleable {
    fn is_settled(&self) -> bool;
}

pub(super) struct Link<P>(Mutex<Linked<P>>);

struct Linked<P> {
    python: P,
    waker: Option<Waker>,
}

/// Python's part, locked. Nothing is called and nothing dropped while it lives.
pub(super) struct Locked<'a, P>(MutexGuard<'a, Linked<P>>);

impl<P> Deref for Locked<'_, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0.python
    }
}

impl<P> DerefMut for Locked<'_, P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.0.python
    }
}

impl<P: Settleable> Link<P> {
    pub(super) fn new(python: P) -> Self {
        Self(Mutex::new(Linked {
            python,
            waker: None,
        }))
    }

    pub(super) fn lock(&self) -> Locked<'_, P> {
        Locked(lock(&self.0))
    }

    /// Whether the user's future may be polled. If so, `waker` is woken when that changes.
    pub(super) fn poll_allowed(&self, waker: &Waker) -> bool {
        let linked = lock(&self.0);
        if linked.python.is_settled() {
            return false;
        }
        if linked.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            return true;
        }
        // Cloning and dropping a waker runs the runtime's code, which must not find the lock held.
        drop(linked);
        let waker = waker.clone();
        let mut linked = lock(&self.0);
        let previous = linked.waker.replace(waker);
        let settled = linked.python.is_settled();
        drop(linked);
        drop(previous.map(Quiet::new));
        !settled
    }

    /// Runs `settle` on Python's part, and wakes the task if that settled it.
    pub(super) fn settle<R>(&self, settle: impl FnOnce(&mut P) -> R) -> R {
        let mut linked = lock(&self.0);
        let settled = settle(&mut linked.python);
        let waker = if linked.python.is_settled() {
            linked.waker.take()
        } else {
            None
        };
        drop(linked);
        if let Some(waker) = waker {
            // A runtime's code, or even the user's: its panic is not Python's, which only cancels.
            quietly(|| waker.wake());
        }
        settled
    }

    /// The task is done: there is nobody to wake any more.
    pub(super) fn finish(&self) {
        let waker = lock(&self.0).waker.take();
        drop(waker.map(Quiet::new));
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use super::*;
    use crate::primitive::models::{counting_waker, model, thread};

    impl Settleable for bool {
        fn is_settled(&self) -> bool {
            *self
        }
    }

    fn settle_in_a_thread(link: &Arc<Link<bool>>) -> thread::JoinHandle<()> {
        let link = Arc::clone(link);
        thread::spawn(move || link.settle(|settled| *settled = true))
    }

    #[test]
    fn loom_a_cancelled_task_was_either_told_or_is_woken() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let link = Arc::new(Link::new(false));
            let canceller = settle_in_a_thread(&link);
            let polled = link.poll_allowed(&waker);
            canceller.join().unwrap();
            if polled {
                assert_eq!(wakes.count(), 1);
            }
            assert!(!link.poll_allowed(&waker));
        });
    }

    #[test]
    fn loom_a_new_waker_takes_the_place_of_the_old_one() {
        model(|| {
            let (old, _) = counting_waker();
            let (new, wakes) = counting_waker();
            let link = Arc::new(Link::new(false));
            assert!(link.poll_allowed(&old));
            let canceller = settle_in_a_thread(&link);
            let polled = link.poll_allowed(&new);
            canceller.join().unwrap();
            if polled {
                assert_eq!(wakes.count(), 1);
            }
        });
    }

    #[test]
    fn loom_a_finished_task_keeps_no_waker() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let link = Arc::new(Link::new(false));
            let canceller = settle_in_a_thread(&link);
            let _ = link.poll_allowed(&waker);
            link.finish();
            canceller.join().unwrap();
            assert!(wakes.count() <= 1);
            assert_eq!(Arc::strong_count(&wakes), 2);
        });
    }
}

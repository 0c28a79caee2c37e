//! How Python tells a Rust task that nobody wants its result.
//!
//! # Protocol
//!
//! 1. The task calls `poll_allowed` before it polls the user's future: the answer is no once `cancel` has been called,
//!    otherwise the waker is kept for it.
//! 2. `cancel` takes the waker and wakes it, without the lock. So either the task saw the cancel before it polled, or it is
//!    woken and will see it: the future is dropped promptly, and never polled after the task has been told.
//! 3. `finish` lets go of the waker, once the future is done: a cancel that comes later has nobody to wake.

use std::task::Waker;

use crate::primitive::{Mutex, lock};

pub(super) struct Cancellation(Mutex<State>);

enum State {
    /// Not polled yet, or done.
    Idle,
    Polled(Waker),
    Cancelled,
}

impl Cancellation {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Idle))
    }

    /// Whether the user's future may be polled. If so, `waker` is woken by `cancel`.
    pub(super) fn poll_allowed(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.0);
        match &*state {
            State::Cancelled => return false,
            State::Polled(known) if known.will_wake(waker) => return true,
            State::Idle | State::Polled(_) => {}
        }
        // Cloning and dropping a waker runs the runtime's code, which must not find the lock held.
        drop(state);
        let polled = State::Polled(waker.clone());
        state = lock(&self.0);
        if matches!(*state, State::Cancelled) {
            drop(state);
            drop(polled);
            return false;
        }
        let previous = std::mem::replace(&mut *state, polled);
        drop(state);
        drop(previous);
        true
    }

    pub(super) fn cancel(&self) {
        let previous = std::mem::replace(&mut *lock(&self.0), State::Cancelled);
        if let State::Polled(waker) = previous {
            waker.wake();
        }
    }

    pub(super) fn finish(&self) {
        let mut state = lock(&self.0);
        let previous = match &*state {
            State::Polled(_) => std::mem::replace(&mut *state, State::Idle),
            State::Idle | State::Cancelled => return,
        };
        drop(state);
        drop(previous);
    }
}

#[cfg(all(test, pyo3_asyncio_loom))]
mod loom_models {
    use std::sync::Arc;
    use std::task::Wake;

    use loom::{sync::atomic::AtomicUsize, sync::atomic::Ordering::SeqCst, thread};

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn loom_a_cancelled_task_was_either_told_or_is_woken() {
        loom::model(|| {
            let wakes = Arc::new(Count(AtomicUsize::new(0)));
            let waker = Waker::from(Arc::clone(&wakes));
            let cancellation = Arc::new(Cancellation::new());
            let canceller = {
                let cancellation = Arc::clone(&cancellation);
                thread::spawn(move || cancellation.cancel())
            };
            let polled = cancellation.poll_allowed(&waker) && cancellation.poll_allowed(&waker);
            canceller.join().unwrap();
            if polled {
                assert_eq!(wakes.0.load(SeqCst), 1);
            }
            assert!(!cancellation.poll_allowed(&waker));
        });
    }

    #[test]
    fn loom_a_task_that_has_finished_is_woken_at_most_once() {
        loom::model(|| {
            let wakes = Arc::new(Count(AtomicUsize::new(0)));
            let waker = Waker::from(Arc::clone(&wakes));
            let cancellation = Arc::new(Cancellation::new());
            let canceller = {
                let cancellation = Arc::clone(&cancellation);
                thread::spawn(move || cancellation.cancel())
            };
            let _ = cancellation.poll_allowed(&waker);
            cancellation.finish();
            canceller.join().unwrap();
            assert!(wakes.0.load(SeqCst) <= 1);
            assert_eq!(Arc::strong_count(&wakes), 2, "no waker is kept");
            drop(waker);
        });
    }
}

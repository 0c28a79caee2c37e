//! Models of the protocols in the library's `src/sync`. loom runs each model in every order that its threads can have.
//!
//! The files of the protocols are compiled here a second time, with loom's locks and atomics.

#![cfg(test)]

mod bounded;
mod cancel_slot;
mod cell;
mod guard;
mod handoff;
mod queue;
mod registry;
mod stream_slot;
mod turn_bell;
mod wake_flag;
mod watchers;

#[allow(dead_code, reason = "the models do not use all that the library uses")]
#[path = "../../../src/sync"]
mod sync {
    pub(crate) mod bounded;
    pub(crate) mod cancel_slot;
    pub(crate) mod cell;
    pub(crate) mod guard;
    pub(crate) mod handoff;
    pub(crate) mod queue;
    pub(crate) mod registry;
    pub(crate) mod stream_slot;
    pub(crate) mod turn_bell;
    pub(crate) mod wake_flag;
    pub(crate) mod watchers;

    pub(crate) mod primitive {
        use std::sync::PoisonError;

        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
        pub(crate) use loom::sync::{Mutex, MutexGuard};

        pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
            mutex.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Wake, Waker};

use loom::thread::JoinHandle;

/// Runs `act` in another thread.
fn spawn<T: 'static, R: 'static>(
    shared: &Arc<T>,
    act: impl FnOnce(&T) -> R + 'static,
) -> JoinHandle<R> {
    let shared = Arc::clone(shared);
    loom::thread::spawn(move || act(&shared))
}

/// Counts the wakes of a waker.
#[derive(Default)]
#[expect(
    clippy::disallowed_types,
    reason = "it is no part of a protocol, so loom need not look at it"
)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Whether the waker that `counting_waker` gave is the only one.
    fn has_one_waker(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 2
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn counting_waker() -> (Waker, Arc<Wakes>) {
    let wakes = Arc::new(Wakes::default());
    (Waker::from(Arc::clone(&wakes)), wakes)
}

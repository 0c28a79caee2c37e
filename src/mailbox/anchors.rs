//! What waits on a loop: kept until it is released, or told that the loop is closed.
//!
//! # Protocol
//!
//! 1. One mutex guards what is anchored. `close` takes it all, and there is nothing to anchor in after that.
//! 2. Whoever anchors something has it ready to be told before, and looks whether it is anchored: if it is not, the loop is
//!    closed, and nobody else will tell it. So it is told by exactly one of the two.
//! 3. What is released, or taken by `close`, is dropped and told without the lock.

use std::num::NonZeroU32;

use slab::Slab;

use crate::primitive::{Mutex, MutexGuard, lock};

/// Where an object is anchored in its mailbox: its key there, plus one, so that an optional one takes no more room.
#[derive(Clone, Copy)]
pub(crate) struct Anchor(NonZeroU32);

/// `None` once closed.
pub(super) struct Anchors<T>(Mutex<Option<Slab<T>>>);

impl<T> Anchors<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Slab::new())))
    }

    /// `None` if they are closed.
    pub(super) fn anchor(&self, object: T) -> Option<Anchor> {
        let key = self.lock().as_mut()?.insert(object);
        let key = u32::try_from(key + 1).ok().and_then(NonZeroU32::new);
        Some(Anchor(key.expect("fewer than 2^32 futures wait at once")))
    }

    pub(super) fn release(&self, anchor: Anchor) -> Option<T> {
        let key = anchor.0.get() as usize - 1;
        self.lock().as_mut()?.try_remove(key)
    }

    /// What was anchored, to be told.
    #[must_use = "what is anchored waits to be told"]
    pub(super) fn close(&self) -> Option<Slab<T>> {
        self.lock().take()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Slab<T>>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use super::*;
    use crate::primitive::models::{model, thread};
    use crate::primitive::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn loom_what_waits_when_the_loop_closes_is_told_once() {
        model(|| {
            let anchors = Arc::new(Anchors::new());
            let told = Arc::new(AtomicUsize::new(0));
            let waiting = {
                let (anchors, told) = (Arc::clone(&anchors), Arc::clone(&told));
                thread::spawn(move || {
                    if anchors.anchor(Arc::clone(&told)).is_none() {
                        told.fetch_add(1, Relaxed);
                    }
                })
            };
            for (_, told) in anchors.close().into_iter().flatten() {
                told.fetch_add(1, Relaxed);
            }
            waiting.join().unwrap();
            assert_eq!(told.load(Relaxed), 1);
        });
    }

    #[test]
    fn loom_what_is_released_when_the_loop_closes_comes_out_once() {
        model(|| {
            let anchors = Arc::new(Anchors::new());
            let anchor = anchors.anchor(()).expect("they are open");
            let releasing = {
                let anchors = Arc::clone(&anchors);
                thread::spawn(move || anchors.release(anchor).is_some())
            };
            let closed = anchors.close().expect("they were open").len();
            let released = releasing.join().unwrap();
            assert_eq!(closed + usize::from(released), 1);
            assert!(anchors.release(anchor).is_none());
        });
    }
}

//! The objects that are told when an event loop closes.
//!
//! # Protocol
//!
//! 1. One mutex guards the watchers. `close` takes them all out, and none can be added after that.
//! 2. Each object is told exactly once. That may be as soon as it is added, so it must be ready before. If `add` returns `None`,
//!    the loop is closed already, and the caller tells the object itself.
//! 3. The lock is released before a watcher is told or dropped.

use std::num::NonZeroU32;

use slab::Slab;

use super::primitive::{Mutex, MutexGuard, lock};

/// The key of a watcher, plus one, so that an `Option` of it takes no more room.
#[derive(Clone, Copy)]
pub(crate) struct WatcherKey(NonZeroU32);

/// `None` once closed.
pub(crate) struct Watchers<T>(Mutex<Option<Slab<T>>>);

impl<T> Watchers<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Slab::new())))
    }

    /// `None` if they are closed.
    pub(crate) fn add(&self, watcher: T) -> Option<WatcherKey> {
        let key = self.lock().as_mut()?.insert(watcher);
        let key = u32::try_from(key + 1).ok().and_then(NonZeroU32::new);
        Some(WatcherKey(
            key.expect("fewer than 2^32 futures wait at once"),
        ))
    }

    pub(crate) fn remove(&self, key: WatcherKey) -> Option<T> {
        let key = key.0.get() as usize - 1;
        self.lock().as_mut()?.try_remove(key)
    }

    /// Takes the watchers out, to be told.
    #[must_use = "the watchers wait to be told"]
    pub(crate) fn close(&self) -> Option<Slab<T>> {
        self.lock().take()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Slab<T>>> {
        lock(&self.0)
    }
}

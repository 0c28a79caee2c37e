//! The slot of a stream, on event loops. [`async_generator`](super) describes the protocol.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Mutex};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::error::{LoopClosed, stream_in_parent};
use crate::event_loop::{Mailbox, Watcher, WatcherKey};
use crate::runtime::Runtime;
use crate::sync::primitive::lock;
use crate::sync::stream_slot::{StreamSlot, StreamStage};
use crate::to_python::crossing::Failure;
use crate::user_value::drop_in;

pub(super) type Stage<K> = StreamStage<K, Failure>;

/// A [`StreamSlot`] that fails when the loop of the last fetch closes.
pub(in crate::to_python) struct WatchedSlot<R: Runtime, K> {
    slot: StreamSlot<K, Failure>,
    /// The loop of the last fetch.
    watching: Mutex<Option<(Mailbox, WatcherKey)>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime, K: Send + 'static> WatchedSlot<R, K> {
    pub(super) fn new(stream: K) -> Self {
        Self {
            slot: StreamSlot::new(stream),
            watching: Mutex::new(None),
            runtime: PhantomData,
        }
    }

    /// Takes the stream for a fetch on the loop of `mailbox`. `None` at the end of the stream.
    pub(super) fn take(
        self: &Arc<Self>,
        py: Python<'_>,
        mailbox: Mailbox,
        made_at: &Location<'_>,
    ) -> PyResult<Option<(K, bool)>> {
        self.watch(mailbox)?;
        let taken = self.slot.take();
        taken.map_err(|failure| failure.into_error(py, made_at))
    }

    /// Watches the loop of a fetch, instead of that of the fetch before.
    fn watch(self: &Arc<Self>, mailbox: Mailbox) -> PyResult<()> {
        let address = mailbox.address();
        match &*lock(&self.watching) {
            Some((watched, _)) if watched.is_inherited() => {
                return Err(stream_in_parent());
            }
            Some((watched, _)) if watched.address() == address => return Ok(()),
            _ => {}
        }
        let key = mailbox.watch(Arc::clone(self) as Arc<dyn Watcher>);
        let watching = key.map(|key| (mailbox, key));
        let previous = std::mem::replace(&mut *lock(&self.watching), watching);
        if let Some((mailbox, key)) = previous {
            mailbox.unwatch(key);
        }
        Ok(())
    }

    /// Ends a fetch.
    pub(super) fn put_back(&self, stage: Stage<K>) {
        drop_left::<R, _>(self.slot.put_back(stage));
    }

    /// Ends the stream after the items that a fetch has brought.
    pub(super) fn fail(&self, failure: Failure) {
        drop_left::<R, _>(self.slot.put(StreamStage::Failed(failure)));
    }

    pub(super) fn close(&self) {
        let watching = lock(&self.watching).take();
        let left = self.slot.put(StreamStage::Ended);
        match watching {
            Some((mailbox, _)) if mailbox.is_inherited() => {
                // The stream belongs to the parent's runtime.
                std::mem::forget(left);
                return;
            }
            Some((mailbox, key)) => mailbox.unwatch(key),
            None => {}
        }
        drop_left::<R, _>(left);
    }
}

/// Drops what left the slot.
fn drop_left<R: Runtime, K>(left: Stage<K>) {
    if let StreamStage::Parked { stream, .. } = left {
        drop_in::<R>(|| drop(stream));
    }
}

impl<R: Runtime, K: Send + 'static> Watcher for WatchedSlot<R, K> {
    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }

    fn loop_closed(&self, py: Python<'_>) {
        let closed =
            LoopClosed::new_err("the event loop on which this Rust stream began is closed");
        *lock(&self.watching) = None;
        py.detach(|| drop_left::<R, _>(self.slot.fail(Failure::Error(closed))));
    }
}

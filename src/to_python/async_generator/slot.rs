//! Where a stream is between two fetches. [`async_generator`](super) describes the protocol.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Mutex};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::error::{LoopClosed, stream_in_parent};
use crate::event_loop::{Mailbox, Watcher, WatcherKey};
use crate::runtime::Runtime;
use crate::sync::primitive::lock;
use crate::to_python::crossing::Failure;
use crate::user_value::drop_in;

/// Where a stream is while nobody awaits an item.
pub(in crate::to_python) struct StreamSlot<R: Runtime, K> {
    state: Mutex<SlotState<K>>,
    runtime: PhantomData<fn() -> R>,
}

struct SlotState<K> {
    parking: Parking<K>,
    /// The loop of the last fetch.
    watching: Option<(Mailbox, WatcherKey)>,
}

pub(super) enum Parking<K> {
    Parked {
        stream: K,
        /// The last batch was full soon, so the next one is probably ready.
        is_ready: bool,
    },
    /// A fetch has the stream.
    Away,
    Ended,
    /// For the next fetch to raise.
    Failed(Failure),
}

impl<R: Runtime, K: Send + 'static> StreamSlot<R, K> {
    pub(super) fn new(stream: K) -> Self {
        Self {
            state: Mutex::new(SlotState {
                parking: Parking::Parked {
                    stream,
                    is_ready: false,
                },
                watching: None,
            }),
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
        let mut state = lock(&self.state);
        match std::mem::replace(&mut state.parking, Parking::Ended) {
            Parking::Parked { stream, is_ready } => {
                state.parking = Parking::Away;
                Ok(Some((stream, is_ready)))
            }
            Parking::Away | Parking::Ended => Ok(None),
            Parking::Failed(failure) => {
                drop(state);
                Err(failure.into_error(py, made_at))
            }
        }
    }

    /// Watches the loop of a fetch, instead of that of the fetch before.
    fn watch(self: &Arc<Self>, mailbox: Mailbox) -> PyResult<()> {
        let address = mailbox.address();
        match &lock(&self.state).watching {
            Some((watched, _)) if watched.is_inherited() => {
                return Err(stream_in_parent());
            }
            Some((watched, _)) if watched.address() == address => return Ok(()),
            _ => {}
        }
        let key = mailbox.watch(Arc::clone(self) as Arc<dyn Watcher>);
        let watching = key.map(|key| (mailbox, key));
        let previous = std::mem::replace(&mut lock(&self.state).watching, watching);
        if let Some((mailbox, key)) = previous {
            mailbox.unwatch(key);
        }
        Ok(())
    }

    /// Parks something else, if `when` says so of what is parked. Drops what is left over.
    pub(super) fn park(&self, parking: Parking<K>, when: impl FnOnce(&Parking<K>) -> bool) {
        let left_over = {
            let mut state = lock(&self.state);
            match when(&state.parking) {
                true => std::mem::replace(&mut state.parking, parking),
                false => parking,
            }
        };
        if let Parking::Parked { stream, .. } = left_over {
            drop_in::<R>(|| drop(stream));
        }
    }

    pub(super) fn close(&self) {
        let watching = lock(&self.state).watching.take();
        match watching {
            Some((mailbox, _)) if mailbox.is_inherited() => {
                // The stream belongs to the parent's runtime.
                let mut state = lock(&self.state);
                std::mem::forget(std::mem::replace(&mut state.parking, Parking::Ended));
                return;
            }
            Some((mailbox, key)) => mailbox.unwatch(key),
            None => {}
        }
        self.park(Parking::Ended, |_| true);
    }
}

impl<R: Runtime, K: Send + 'static> Watcher for StreamSlot<R, K> {
    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }

    fn loop_closed(&self, py: Python<'_>) {
        let closed =
            LoopClosed::new_err("the event loop on which this Rust stream began is closed");
        lock(&self.state).watching = None;
        py.detach(|| {
            self.park(Parking::Failed(Failure::Error(closed)), |now| {
                matches!(now, Parking::Parked { .. } | Parking::Away)
            });
        });
    }
}

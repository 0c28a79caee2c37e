//! Where a Rust stream is while nobody fetches its items.
//!
//! # Protocol
//!
//! 1. The stream is `Parked` while nobody awaits an item. `take` gives it to a fetch, and the slot is `Away` until the fetch calls
//!    `put_back` with the stream, or with what ended it.
//! 2. `put` and `fail` change the slot during a fetch too. Then `put_back` returns what the fetch has brought.
//! 3. `fail` leaves a failure in the slot, unless the stream has ended. The next `take` returns it. Later ones find the end.
//! 4. Each function returns what it has replaced, or what it has not put in. So the caller drops it, without the lock.

use super::primitive::{Mutex, lock};

pub(crate) struct StreamSlot<S, F>(Mutex<StreamStage<S, F>>);

#[derive(Debug, PartialEq, Eq)]
#[must_use = "a stream is dropped in its runtime"]
pub(crate) enum StreamStage<S, F> {
    Parked {
        stream: S,
        /// Whether the last batch was full soon, so that the next one is probably ready.
        is_ready: bool,
    },
    Away,
    Ended,
    /// For the next fetch to raise.
    Failed(F),
}

impl<S, F> StreamSlot<S, F> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Mutex::new(StreamStage::Parked {
            stream,
            is_ready: false,
        }))
    }

    /// Takes the stream for a fetch, and whether it is probably ready. `None` at the end of the stream.
    pub(crate) fn take(&self) -> Result<Option<(S, bool)>, F> {
        let mut stage = lock(&self.0);
        match std::mem::replace(&mut *stage, StreamStage::Ended) {
            StreamStage::Parked { stream, is_ready } => {
                *stage = StreamStage::Away;
                Ok(Some((stream, is_ready)))
            }
            StreamStage::Away | StreamStage::Ended => Ok(None),
            StreamStage::Failed(failure) => Err(failure),
        }
    }

    /// Ends a fetch.
    pub(crate) fn put_back(&self, stage: StreamStage<S, F>) -> StreamStage<S, F> {
        self.put_if(stage, |now| matches!(now, StreamStage::Away))
    }

    /// Fails a stream that has not ended.
    pub(crate) fn fail(&self, failure: F) -> StreamStage<S, F> {
        self.put_if(StreamStage::Failed(failure), |now| {
            matches!(now, StreamStage::Parked { .. } | StreamStage::Away)
        })
    }

    pub(crate) fn put(&self, stage: StreamStage<S, F>) -> StreamStage<S, F> {
        self.put_if(stage, |_| true)
    }

    fn put_if(
        &self,
        stage: StreamStage<S, F>,
        condition: impl FnOnce(&StreamStage<S, F>) -> bool,
    ) -> StreamStage<S, F> {
        let mut now = lock(&self.0);
        match condition(&now) {
            true => std::mem::replace(&mut now, stage),
            false => stage,
        }
    }
}

//! Counts the Rust futures of a test, their polls and their drops.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use pyo3::prelude::*;

/// Fails a test that would hang. No test passes because of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Counters {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) made: usize,
    pub(super) polled: usize,
    pub(super) dropped: usize,
}

impl Counters {
    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().expect("counting does not panic")
    }

    /// Waits, detached, until `dropped` futures are dropped.
    pub(super) fn wait_for_drops(&self, py: Python<'_>, dropped: usize) {
        py.detach(|| {
            let counts = self.counts.lock().expect("counting does not panic");
            let (counts, waited) = self
                .changed
                .wait_timeout_while(counts, PATIENCE, |counts| counts.dropped < dropped)
                .expect("counting does not panic");
            assert!(
                !waited.timed_out(),
                "waited for {dropped} drops: {counts:?}"
            );
        });
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().expect("counting does not panic"));
        self.changed.notify_all();
    }
}

/// A future whose polls and drop are counted.
///
/// It holds its own allocation, so that it can be pinned without `unsafe`.
pub(super) struct Tracked<F> {
    // Declared before the count, so that the future is dropped before its drop is counted.
    future: Pin<Box<F>>,
    count: CountedDrop,
}

struct CountedDrop(Arc<Counters>);

impl<F> Tracked<F> {
    pub(super) fn new(counters: &Arc<Counters>, future: F) -> Self {
        counters.count(|counts| counts.made += 1);
        Self {
            future: Box::pin(future),
            count: CountedDrop(Arc::clone(counters)),
        }
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.count.0.count(|counts| counts.polled += 1);
        self.future.as_mut().poll(cx)
    }
}

impl Drop for CountedDrop {
    fn drop(&mut self) {
        self.0.count(|counts| counts.dropped += 1);
    }
}

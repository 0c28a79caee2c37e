//! Counts the Rust futures and streams that were made, polled and dropped.
//!
//! A test never sleeps until something "should have" happened. It waits here for the drop itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use smol::stream::Stream;

/// The limit of a wait for a drop. After it the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

// There is no lock here, because a fork could leave it locked in the child.
static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// The interval of polling for a drop.
const A_MOMENT: Duration = Duration::from_micros(100);

/// The record of one Rust future, which outlives it.
#[derive(Default)]
pub(crate) struct Life {
    polls: AtomicUsize,
    drops: AtomicUsize,
}

impl Life {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.drops.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        wait_until(py, || self.is_dropped())
    }
}

/// A future or a stream with a record.
pub(crate) struct Recorded<F> {
    // Declared first, so that the future is dropped before its drop is counted.
    future: Pin<Box<F>>,
    record: Record,
}

pub(crate) fn recorded<F>(life: Arc<Life>, future: F) -> Recorded<F> {
    MADE.fetch_add(1, Ordering::SeqCst);
    Recorded {
        future: Box::pin(future),
        record: Record(life),
    }
}

impl<F: Future> Future for Recorded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.record.0.polls.fetch_add(1, Ordering::SeqCst);
        self.future.as_mut().poll(cx)
    }
}

impl<S: Stream> Stream for Recorded<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.record.0.polls.fetch_add(1, Ordering::SeqCst);
        self.future.as_mut().poll_next(cx)
    }
}

struct Record(Arc<Life>);

impl Drop for Record {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::SeqCst);
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

/// The number of Rust futures that this module has made.
#[pyfunction]
pub(crate) fn made() -> usize {
    MADE.load(Ordering::SeqCst)
}

/// The number of them that have been dropped.
#[pyfunction]
pub(crate) fn dropped() -> usize {
    DROPPED.load(Ordering::SeqCst)
}

/// Waits, detached, until at most `at_most` Rust futures are alive.
#[pyfunction]
pub(crate) fn wait_until_live(py: Python<'_>, at_most: usize) -> PyResult<()> {
    // `dropped` is read first. Otherwise a future that is made and dropped in between would count only as dropped.
    wait_until(py, || dropped() + at_most >= made())
}

fn wait_until(py: Python<'_>, is_true: impl Fn() -> bool + Send + Sync) -> PyResult<()> {
    let in_time = py.detach(|| {
        let deadline = Instant::now() + PATIENCE;
        while !is_true() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(A_MOMENT);
        }
        true
    });
    if in_time {
        return Ok(());
    }
    let (made, dropped) = (made(), dropped());
    Err(PyTimeoutError::new_err(format!(
        "waited {PATIENCE:?} for a Rust future to be dropped: {made} were made, {dropped} dropped"
    )))
}

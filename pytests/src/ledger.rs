//! Who was made, who was polled, who was dropped.
//!
//! A test never sleeps until something "should have" happened: it waits here for the drop itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

/// A drop that has not come after this long does not come: the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

// No lock around them, and none to wait with: a fork would leave it locked in the child.
static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Who waits for a drop looks again after this.
const A_MOMENT: Duration = Duration::from_micros(100);

/// What is known of one Rust future, during its life and after it.
#[derive(Default)]
pub(crate) struct Life {
    polls: AtomicUsize,
    drops: AtomicUsize,
}

impl Life {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn wait_until_dropped(&self, py: Python<'_>) -> PyResult<()> {
        wait_until(py, || self.drops.load(Ordering::SeqCst) > 0)
    }
}

/// A future whose life is on record.
pub(crate) struct Recorded<F> {
    // Dropped first: whoever hears of the drop may rely on it.
    future: Pin<Box<F>>,
    record: Record,
}

pub(crate) fn recorded<F: Future>(life: Arc<Life>, future: F) -> Recorded<F> {
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

struct Record(Arc<Life>);

impl Drop for Record {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::SeqCst);
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

/// How many Rust futures this module has made.
#[pyfunction]
pub(crate) fn made() -> usize {
    MADE.load(Ordering::SeqCst)
}

/// How many of them have been dropped.
#[pyfunction]
pub(crate) fn dropped() -> usize {
    DROPPED.load(Ordering::SeqCst)
}

/// Waits, detached, until at most so many Rust futures live.
#[pyfunction]
pub(crate) fn wait_until_live(py: Python<'_>, at_most: usize) -> PyResult<()> {
    // In this order: what is made in between is not counted as dropped.
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

//! Who was made, who was polled, who was dropped.
//!
//! A test never sleeps until something "should have" happened: it waits here for the drop itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

/// A drop that has not come after this long does not come: the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

// No lock around them: a fork could leave it locked in the child.
static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

static A_DROP: Condvar = Condvar::new();
/// For who waits for a drop. Who drops does not take it, and so may be missed: a wait looks again after a moment.
static WAITING: Mutex<()> = Mutex::new(());
const A_MOMENT: Duration = Duration::from_millis(1);

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
        A_DROP.notify_all();
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
        let mut waiting = WAITING.lock().expect("nobody panics while waiting");
        while !is_true() {
            if Instant::now() > deadline {
                return false;
            }
            (waiting, _) = A_DROP
                .wait_timeout(waiting, A_MOMENT)
                .expect("nobody panics while waiting");
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

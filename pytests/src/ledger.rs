//! Who was made, who was polled, who was dropped.
//!
//! A test never sleeps until something "should have" happened: it waits here for the drop itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

/// A drop that has not come after this long does not come: the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

struct Ledger {
    made: usize,
    dropped: usize,
}

static LEDGER: Mutex<Ledger> = Mutex::new(Ledger {
    made: 0,
    dropped: 0,
});
static A_DROP: Condvar = Condvar::new();

fn ledger() -> MutexGuard<'static, Ledger> {
    LEDGER
        .lock()
        .expect("nobody panics while holding the ledger")
}

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
        wait_until(py, |_| self.drops.load(Ordering::SeqCst) > 0)
    }
}

/// A future whose life is on record.
pub(crate) struct Recorded<F> {
    // Dropped first: whoever hears of the drop may rely on it.
    future: Pin<Box<F>>,
    record: Record,
}

pub(crate) fn recorded<F: Future>(life: Arc<Life>, future: F) -> Recorded<F> {
    ledger().made += 1;
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
        let mut ledger = ledger();
        self.0.drops.fetch_add(1, Ordering::SeqCst);
        ledger.dropped += 1;
        A_DROP.notify_all();
    }
}

/// How many Rust futures this module has made.
#[pyfunction]
pub(crate) fn made() -> usize {
    ledger().made
}

/// How many of them have been dropped.
#[pyfunction]
pub(crate) fn dropped() -> usize {
    ledger().dropped
}

/// Waits, detached, until at most so many Rust futures live.
#[pyfunction]
pub(crate) fn wait_until_live(py: Python<'_>, at_most: usize) -> PyResult<()> {
    wait_until(py, |ledger| ledger.made - ledger.dropped <= at_most)
}

fn wait_until(py: Python<'_>, is_true: impl Fn(&Ledger) -> bool + Send + Sync) -> PyResult<()> {
    let (made, dropped, in_time) = py.detach(|| {
        let (ledger, timeout) = A_DROP
            .wait_timeout_while(ledger(), PATIENCE, |ledger| !is_true(ledger))
            .expect("nobody panics while holding the ledger");
        (ledger.made, ledger.dropped, !timeout.timed_out())
    });
    if in_time {
        return Ok(());
    }
    Err(PyTimeoutError::new_err(format!(
        "waited {PATIENCE:?} for a Rust future to be dropped: {made} were made, {dropped} dropped"
    )))
}

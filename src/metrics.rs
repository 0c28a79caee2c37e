//! What crosses, counted.
//!
//! The counters are relaxed, and each is written by one kind of thread and lies on a cache line of its own: what is in flight
//! is what was started without what has ended, so that a loop and a worker do not take one line from each other. Jobs are
//! counted once a turn, and the clock is read twice a burst: when the bell is rung, and when the drain answers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// As long as two lines of a cache, which processors fetch in pairs.
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Only what is greater is written: nearly always nothing.
    fn raise(&self, value: u64) {
        if value > self.get() {
            self.0.fetch_max(value, Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

static JOBS: Counter = Counter::new();
static LARGEST_BURST: Counter = Counter::new();
static WAKE_UPS: Counter = Counter::new();
static MAILBOX_WAIT: Counter = Counter::new();
static LONGEST_MAILBOX_WAIT: Counter = Counter::new();

static STARTED: [Counter; 2] = [Counter::new(), Counter::new()];
static ENDED: [Counter; 2] = [Counter::new(), Counter::new()];

/// A crossing that is in flight until this is dropped. Takes no room.
pub(crate) struct InFlight<const DIRECTION: usize>(());

pub(crate) type RustToPython = InFlight<0>;
pub(crate) type PythonToRust = InFlight<1>;

impl<const DIRECTION: usize> InFlight<DIRECTION> {
    pub(crate) fn start() -> Self {
        STARTED[DIRECTION].add(1);
        Self(())
    }

    /// This one is the parent's, and is about to drop in the child, which has not counted it.
    pub(crate) fn disown(&self) {
        STARTED[DIRECTION].add(1);
    }

    fn count() -> u64 {
        // Rarely is one seen to end that was not seen to start. Nothing orders the two, which would cost on every crossing.
        let ended = ENDED[DIRECTION].get();
        STARTED[DIRECTION].get().saturating_sub(ended)
    }
}

impl<const DIRECTION: usize> Drop for InFlight<DIRECTION> {
    fn drop(&mut self) {
        ENDED[DIRECTION].add(1);
    }
}

/// In the child of a fork: what is in flight is the parent's.
pub(crate) fn forget_parents() {
    for (started, ended) in STARTED.iter().zip(&ENDED) {
        ended.0.store(started.get(), Relaxed);
    }
}

/// A loop answers a ring.
pub(crate) fn woken(rung: Instant) {
    let nanoseconds = u64::try_from(rung.elapsed().as_nanos()).unwrap_or(u64::MAX);
    WAKE_UPS.add(1);
    MAILBOX_WAIT.add(nanoseconds);
    LONGEST_MAILBOX_WAIT.raise(nanoseconds);
}

/// A turn of a drain has run so many jobs.
pub(crate) fn turn(jobs: usize) {
    let jobs = jobs as u64;
    JOBS.add(jobs);
    LARGEST_BURST.raise(jobs);
}

/// What has crossed in this process, on all of its event loops, since it began: made by [`metrics()`].
///
/// To Python it is a `dict` with the names of the fields, and with a `datetime.timedelta` for a `Duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPyObject)]
#[non_exhaustive]
pub struct Metrics {
    /// Rust futures that Python was given and that are not dropped yet: running, or waiting to be polled.
    pub rust_futures: u64,
    /// Python awaitables that Rust was given and that are neither done nor dropped.
    pub python_tasks: u64,
    /// Jobs that loops have run: a result that is handed over, an awaitable that is started or cancelled, a poll of a future
    /// that is not `Send`.
    pub jobs: u64,
    /// How often a loop was woken for jobs. `jobs / wake_ups` is the mean size of a burst.
    pub wake_ups: u64,
    /// The most jobs that a loop ran in one turn, of which it takes 128 at most.
    pub largest_burst: u64,
    /// How long the first job of each burst waited for its loop, all together: `mailbox_wait / wake_ups` is the mean.
    pub mailbox_wait: Duration,
    /// The longest of these waits: for so long, Python code kept its loop from turning, or the interpreter was taken.
    pub longest_mailbox_wait: Duration,
}

/// The counters of this process. Called on any thread; takes no lock.
///
/// Each is exact, but they are not read at one moment. A forked child goes on from its parent's, but for what is in flight there.
///
/// ```
/// use pyo3::prelude::*;
///
/// /// `my_module.metrics()["rust_futures"]`
/// #[pyfunction]
/// fn metrics() -> pyo3_asyncio::Metrics {
///     pyo3_asyncio::metrics()
/// }
/// ```
pub fn metrics() -> Metrics {
    Metrics {
        rust_futures: RustToPython::count(),
        python_tasks: PythonToRust::count(),
        jobs: JOBS.get(),
        wake_ups: WAKE_UPS.get(),
        largest_burst: LARGEST_BURST.get(),
        mailbox_wait: Duration::from_nanos(MAILBOX_WAIT.get()),
        longest_mailbox_wait: Duration::from_nanos(LONGEST_MAILBOX_WAIT.get()),
    }
}

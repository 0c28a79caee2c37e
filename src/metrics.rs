//! Counters of the crossings.
//!
//! Each counter is written by one kind of thread, with relaxed ordering, and has its own cache line. Starts and ends have separate
//! counters, so that a loop and a worker do not contend for one line. The difference of the two is the number in flight. Jobs are
//! counted once a turn. The clock is read twice a burst: when the doorbell rings and when the drain answers.

#![expect(
    clippy::disallowed_macros,
    reason = "the derive interns the names of the fields"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Aligned to two cache lines, because processors fetch lines in pairs.
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Raises a maximum. Nearly every call only reads.
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

static STARTED: [Counter; 3] = [const { Counter::new() }; 3];
static ENDED: [Counter; 3] = [const { Counter::new() }; 3];

/// Counts a crossing as in flight until this is dropped. Zero-sized.
pub(crate) struct InFlight<const DIRECTION: usize>(());

pub(crate) type RustToPython = InFlight<0>;
pub(crate) type PythonToRust = InFlight<1>;
/// A Rust future that goes on after its cancellation.
pub(crate) type Detached = InFlight<2>;

impl<const DIRECTION: usize> InFlight<DIRECTION> {
    pub(crate) fn start() -> Self {
        STARTED[DIRECTION].add(1);
        Self(())
    }

    /// Balances the drop of an inherited crossing in a child, which has not counted its start.
    pub(crate) fn disown(&self) {
        STARTED[DIRECTION].add(1);
    }

    pub(crate) fn count() -> u64 {
        // Nothing orders the two loads, so the second may be the smaller one. Ordering them would cost on every crossing.
        let ended = ENDED[DIRECTION].get();
        STARTED[DIRECTION].get().saturating_sub(ended)
    }
}

impl<const DIRECTION: usize> Drop for InFlight<DIRECTION> {
    fn drop(&mut self) {
        ENDED[DIRECTION].add(1);
    }
}

/// In the child of a fork: stops counting what is in flight in the parent.
pub(crate) fn forget_parents() {
    for (started, ended) in STARTED.iter().zip(&ENDED) {
        ended.0.store(started.get(), Relaxed);
    }
}

/// Counts a drain that answers the doorbell.
pub(crate) fn woken(rung: Instant) {
    let nanoseconds = u64::try_from(rung.elapsed().as_nanos()).unwrap_or(u64::MAX);
    WAKE_UPS.add(1);
    MAILBOX_WAIT.add(nanoseconds);
    LONGEST_MAILBOX_WAIT.raise(nanoseconds);
}

/// Counts the jobs that a drain ran in one turn.
pub(crate) fn turn(jobs: usize) {
    let jobs = jobs as u64;
    JOBS.add(jobs);
    LARGEST_BURST.raise(jobs);
}

/// The crossings of this process since it started, on all event loops. Returned by [`metrics()`].
///
/// In Python it is a `dict` with the names of the fields as keys. A `Duration` becomes a `datetime.timedelta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPyObject)]
#[non_exhaustive]
pub struct Metrics {
    /// Rust futures that Python awaits and that are not dropped: running, or waiting to be polled.
    pub rust_futures: u64,
    /// Those among them that go on though Python has cancelled them, by `detach_on_cancel`.
    pub detached_futures: u64,
    /// Python awaitables that Rust awaits, and async iterables that it iterates over, which are neither done nor dropped.
    pub python_tasks: u64,
    /// Jobs that loops have run. A job settles a future, calls a function, starts or cancels an awaitable, or polls a future that
    /// is not `Send`.
    pub jobs: u64,
    /// How often a loop was woken for jobs. `jobs / wake_ups` is the mean size of a burst.
    pub wake_ups: u64,
    /// The most jobs that a loop ran in one turn. The limit is 128.
    pub largest_burst: u64,
    /// The total time that the first job of each burst waited for its loop. `mailbox_wait / wake_ups` is the mean.
    pub mailbox_wait: Duration,
    /// The longest of these waits. For that long, Python code blocked its loop, or other threads held the interpreter.
    pub longest_mailbox_wait: Duration,
}

/// Reads the counters of this process. Takes no lock.
///
/// Each counter is exact, but they are not read at the same moment. A forked child continues the counts of its parent, except for
/// the crossings in flight.
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
        detached_futures: Detached::count(),
        python_tasks: PythonToRust::count(),
        jobs: JOBS.get(),
        wake_ups: WAKE_UPS.get(),
        largest_burst: LARGEST_BURST.get(),
        mailbox_wait: Duration::from_nanos(MAILBOX_WAIT.get()),
        longest_mailbox_wait: Duration::from_nanos(LONGEST_MAILBOX_WAIT.get()),
    }
}

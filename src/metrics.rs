//! Counters of the crossings, all with relaxed ordering. Jobs are counted once a turn. The clock is read twice a burst: when the
//! doorbell rings and when the drain answers.

#![expect(
    clippy::disallowed_macros,
    reason = "the derive interns the names of the fields"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

static JOBS: AtomicU64 = AtomicU64::new(0);
static LARGEST_BURST: AtomicU64 = AtomicU64::new(0);
static WAKE_UPS: AtomicU64 = AtomicU64::new(0);
static MAILBOX_WAIT: AtomicU64 = AtomicU64::new(0);
static LONGEST_MAILBOX_WAIT: AtomicU64 = AtomicU64::new(0);
static IN_FLIGHT: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Counts a crossing as in flight until this is dropped. Zero-sized.
pub(crate) struct InFlight<const KIND: usize>(());

pub(crate) type RustToPython = InFlight<0>;
pub(crate) type PythonToRust = InFlight<1>;
/// A Rust future that goes on after its cancellation.
pub(crate) type Detached = InFlight<2>;

impl<const KIND: usize> InFlight<KIND> {
    pub(crate) fn start() -> Self {
        IN_FLIGHT[KIND].fetch_add(1, Relaxed);
        Self(())
    }

    /// Balances the drop of an inherited crossing in a child, which has not counted its start.
    pub(crate) fn disown(&self) {
        IN_FLIGHT[KIND].fetch_add(1, Relaxed);
    }

    pub(crate) fn count() -> u64 {
        IN_FLIGHT[KIND].load(Relaxed)
    }
}

impl<const KIND: usize> Drop for InFlight<KIND> {
    fn drop(&mut self) {
        // In the child of a fork, a crossing of the parent may end. The child has not counted it.
        let fewer = |count: u64| count.checked_sub(1);
        let _ = IN_FLIGHT[KIND].fetch_update(Relaxed, Relaxed, fewer);
    }
}

/// In the child of a fork: stops counting what is in flight in the parent.
pub(crate) fn forget_parents() {
    for count in &IN_FLIGHT {
        count.store(0, Relaxed);
    }
}

/// Counts a drain that answers the doorbell.
pub(crate) fn woken(rung: Instant) {
    let nanoseconds = u64::try_from(rung.elapsed().as_nanos()).unwrap_or(u64::MAX);
    WAKE_UPS.fetch_add(1, Relaxed);
    MAILBOX_WAIT.fetch_add(nanoseconds, Relaxed);
    LONGEST_MAILBOX_WAIT.fetch_max(nanoseconds, Relaxed);
}

/// Counts the jobs that a drain ran in one turn.
pub(crate) fn turn(jobs: usize) {
    let jobs = jobs as u64;
    JOBS.fetch_add(jobs, Relaxed);
    LARGEST_BURST.fetch_max(jobs, Relaxed);
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
        jobs: JOBS.load(Relaxed),
        wake_ups: WAKE_UPS.load(Relaxed),
        largest_burst: LARGEST_BURST.load(Relaxed),
        mailbox_wait: Duration::from_nanos(MAILBOX_WAIT.load(Relaxed)),
        longest_mailbox_wait: Duration::from_nanos(LONGEST_MAILBOX_WAIT.load(Relaxed)),
    }
}

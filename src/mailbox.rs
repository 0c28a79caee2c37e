//! A mailbox per event loop: any thread posts a job without attaching to the interpreter, the loop's thread runs it attached.
//!
//! # Protocol
//!
//! 1. *One mailbox a loop, ever.* [`Mailbox::of`] finds it by the loop's address: in the thread's own cache, then in the
//!    [`registry`]. Both are trusted only while the mailbox is open, and an open mailbox belongs to a loop that lives (5).
//! 2. *Posting* pushes to the [`queue`], which rings the [`doorbell`] once for a burst.
//! 3. *Draining*: the loop calls the `Drain` object, which pops and runs at most [`BATCH`] jobs and lets the loop go on to its
//!    other work. What a job raises passes on to the loop; the jobs behind it stay queued and the bell stays audible.
//! 4. *Anchors*: an object that must live until its job comes, or must learn that it never will, is anchored in the mailbox.
//!    The garbage collector sees anchored objects through the `Drain` object, which the loop owns: a loop that nobody
//!    else reaches is collected together with everything that waits on it. What it is shown changes only while attached, or
//!    it could take a live object for garbage: objects are [anchored](anchors) and released by attached threads only. In a
//!    child nothing of it is shown: a thread of the parent's may have locked, for ever, what an anchored object would look at.
//! 5. *Closing*: a handle of the loop owns the `Drain` object (the reader's, or a timer's for the helper's bell). The loop
//!    drops it in `close()`, or when it is collected. A weak reference to the loop is the second signal, for a loop
//!    that leaks its handles, and would leave its address to another; one that cannot be referenced weakly is refused. Closing drops the queued jobs, tells the anchored, and gives the descriptor back.
//! 6. Locks are released before a job runs, before anything of the user's is dropped and before Python is called.

mod anchors;
mod blocked;
pub(crate) mod doorbell;
mod drain;
pub(crate) mod queue;
mod registry;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use crate::error::LoopClosed;
use crate::primitive::lock_std;
use crate::{asyncio, gate, metrics, process};
pub(crate) use anchors::Anchor;
use anchors::Anchors;
pub(crate) use blocked::Blocked;
use doorbell::Doorbell;
use queue::{Queue, Remains};
use registry::{Registered, Registry};

/// How long the last loops of a process, together, wait for the helper, as they close.
const HELPER_PATIENCE: Duration = Duration::from_millis(200);

/// Something to be run on the loop's thread, attached. An error passes on to the loop.
pub(crate) type Job = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

/// What an anchored object has to answer.
pub(crate) trait Anchored: Send + Sync {
    /// Shows the garbage collector what is held, which changes only while attached. Must not call Python; may wait for a lock
    /// under which nobody attaches.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
    /// The loop is closed: nothing posted will run any more.
    fn loop_closed(&self, py: Python<'_>);
}

#[derive(Clone)]
pub(crate) struct Mailbox(Arc<Inner>);

struct Inner {
    queue: Queue<Job, Doorbell>,
    anchors: Anchors<Arc<dyn Anchored>>,
    address: usize,
    /// The process that it belongs to.
    generation: u32,
    /// The loop's debug mode, as the last turn of the drain found it.
    debug: AtomicBool,
    /// Keeps the loop's second closing signal alive.
    watch: Mutex<Option<Py<PyWeakrefReference>>>,
}

static REGISTRY: LazyLock<Registry<Mailbox>> = LazyLock::new(Registry::new);

thread_local! {
    /// The mailbox that this thread asked for last: nearly always the one that it asks for next.
    static LAST: RefCell<Option<Mailbox>> = const { RefCell::new(None) };
}

impl Registered for Mailbox {
    fn address(&self) -> usize {
        self.0.address
    }

    fn is_open(&self) -> bool {
        !self.is_inherited() && !self.0.queue.is_closed()
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Mailbox {
    /// The mailbox of a loop, made at the first call for it, from any thread.
    ///
    /// Errors if the loop is closed, or if the system has no descriptor left.
    pub(crate) fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let address = event_loop.as_ptr() as usize;
        let last = LAST.with_borrow(|last| {
            last.as_ref()
                .filter(|it| it.address() == address && it.is_open())
                .cloned()
        });
        if let Some(mailbox) = last {
            return Ok(mailbox);
        }
        let mailbox = match REGISTRY.find(address) {
            Some(mailbox) => mailbox,
            None => Self::open(event_loop)?,
        };
        let previous = LAST.replace(Some(mailbox.clone()));
        drop(previous);
        Ok(mailbox)
    }

    /// The `id()` of the loop.
    pub(crate) fn address(&self) -> usize {
        self.0.address
    }

    /// Whether it came to this process by a fork. Nobody drains it here, and who waits on its other side is in the parent.
    pub(crate) fn is_inherited(&self) -> bool {
        self.0.generation != gate::generation()
    }

    /// Posts a job. Callable from any thread, attached or not. Gives the job back if the loop is closed.
    pub(crate) fn post(&self, job: Job) -> Result<(), Job> {
        if self.is_inherited() {
            return Err(job);
        }
        self.0.queue.push(job)
    }

    /// Whether the loop is in debug mode. A change is seen from the next turn of the drain on.
    pub(crate) fn is_debug(&self) -> bool {
        self.0.debug.load(Ordering::Relaxed)
    }

    /// Anchors an object until it is released or the loop closes. `None` if the loop is closed: the object will not be told.
    pub(crate) fn anchor(&self, object: Arc<dyn Anchored>) -> Option<Anchor> {
        self.0.anchors.anchor(object)
    }

    /// Releases an anchor, once.
    pub(crate) fn release(&self, anchor: Anchor) {
        drop(self.0.anchors.release(anchor));
    }

    fn open(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        if asyncio::is_closed(event_loop)? {
            return Err(LoopClosed::new_err(format!(
                "the event loop {event_loop:?} is closed: nothing can be awaited on it any more"
            )));
        }
        watch_process(py)?;
        let mailbox = Self::new(event_loop)?;
        if let Some(first) = REGISTRY.add(&mailbox) {
            mailbox.close(py);
            return Ok(first);
        }
        let watched = mailbox.watch(event_loop);
        if let Err(error) = watched.and_then(|()| drain::install(&mailbox, event_loop)) {
            mailbox.close(py);
            return Err(error);
        }
        Ok(mailbox)
    }

    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(Arc::new(Inner {
            queue: Queue::new(Doorbell::NotYet),
            anchors: Anchors::new(),
            address: event_loop.as_ptr() as usize,
            generation: gate::generation_of_process(),
            debug: AtomicBool::new(asyncio::is_debug(event_loop)?),
            watch: Mutex::new(None),
        })))
    }

    /// The loop, unless it is gone.
    fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        lock_std(&self.0.watch).as_ref()?.bind(py).upgrade()
    }

    /// Asks to be told when the loop object dies.
    fn watch(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let signal = Py::new(event_loop.py(), LoopGone(self.clone()))?;
        let watch = asyncio::weakref(event_loop, signal.into_any()).map_err(|error| {
            if !error.is_instance_of::<PyTypeError>(event_loop.py()) {
                return error;
            }
            PyTypeError::new_err(format!(
                "the event loop {event_loop:?} cannot be referenced weakly, so that nothing would tell of its end for sure: \
                 give its class a `__weakref__` slot"
            ))
        })?;
        *lock_std(&self.0.watch) = Some(watch.unbind());
        Ok(())
    }

    /// Idempotent. Called attached; every lock is released before anything is dropped.
    fn close(&self, py: Python<'_>) {
        if self.is_inherited() {
            self.leave_to_parent();
            return;
        }
        let Remains { jobs, bell } = self.0.queue.close();
        REGISTRY.remove(self);
        let anchors = self.0.anchors.close();
        let watch = lock_std(&self.0.watch).take();
        drop(jobs);
        for (_, anchored) in anchors.into_iter().flatten() {
            anchored.loop_closed(py);
        }
        let may_be_called = matches!(bell, Some(Doorbell::Helper(_)));
        drop((watch, bell));
        if may_be_called && gate::was_closed() {
            // Nobody else waits for the helper's last call any more before the interpreter is finalized.
            static DEADLINE: OnceLock<Instant> = OnceLock::new();
            let deadline = *DEADLINE.get_or_init(|| Instant::now() + HELPER_PATIENCE);
            py.detach(|| gate::wait_until_empty(deadline));
        }
    }

    /// `close` in a child: what a thread of the parent's has posted, or waits for, is the parent's to end.
    fn leave_to_parent(&self) {
        let watch = lock_std(&self.0.watch).take();
        if let Some(Remains { jobs, bell }) = self.0.queue.close_inherited() {
            std::mem::forget(jobs);
            drop(bell);
        }
        std::mem::forget(self.0.anchors.close());
        drop(watch);
    }
}

/// Watches the end and the forks of this process, from the first call on.
pub(crate) fn watch_process(py: Python<'_>) -> PyResult<()> {
    process::watch(py, forget_parents)
}

/// In the child of a fork: the mailboxes that it inherits are not its own.
fn forget_parents(py: Python<'_>) {
    metrics::forget_parents();
    for mailbox in REGISTRY.take().into_values() {
        let queue = &mailbox.0.queue;
        if let Some(Err(error)) = queue.with_inherited_bell(Doorbell::part_from_parent) {
            PyErr::from(error).write_unraisable(py, None);
        }
        // Never dropped: see `close`.
        std::mem::forget(mailbox);
    }
}

/// Called by the weak reference when the loop object dies.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct LoopGone(Mailbox);

#[pymethods]
impl LoopGone {
    fn __call__(&self, py: Python<'_>, _reference: &Bound<'_, PyAny>) {
        self.0.close(py);
    }
}

//! A mailbox for each event loop: any thread posts a job without attaching to the interpreter, and the loop's thread runs it
//! attached.
//!
//! # Protocol
//!
//! 1. A loop has one mailbox. [`Mailbox::of`] finds it by the loop's address in the [registry](crate::sync::registry). Closed
//!    mailboxes are never found. An open mailbox belongs to a loop that lives, because the end of a loop closes its mailbox (6).
//! 2. Posting pushes the job to the [queue](crate::sync::queue), which rings the [`doorbell`] once for a burst.
//! 3. The loop then calls the [`drain`], which runs a bounded number of jobs and returns to the loop. If a job fails, the drain
//!    raises its error to the loop. The loop calls the drain again for the jobs that are left.
//! 4. An object that waits for its job [watches](Watcher) the loop. The mailbox keeps it alive, and tells it when the loop
//!    closes.
//! 5. The loop owns the drain, and the drain shows the watchers to the garbage collector. So a loop that nobody else reaches is
//!    collected together with all that waits on it. What the collector is shown changes only while attached. Otherwise it could
//!    take a live object for garbage. In a forked child nothing is shown, because a thread of the parent may hold a lock for
//!    ever.
//! 6. The loop drops the drain in `close()`, or when the loop is collected. That closes the mailbox. A weak reference to the
//!    loop is a second signal, for a loop that leaks its handles. Closing drops the queued jobs, tells the watchers and closes
//!    the descriptor.
//! 7. In a loop of `tokio::new_event_loop`, the selector owns the drain, waits for the bell and runs the drain. Closing the
//!    selector closes the mailbox.
//! 8. Locks are released before a job runs, before anything of the user is dropped and before Python is called.

pub(crate) mod background;
// Everything that only unix has is in this module.
#[cfg_attr(
    any(not(unix), pyo3_asyncio_no_unix),
    path = "event_loop/no_descriptor.rs"
)]
mod descriptor;
pub(crate) mod doorbell;
mod drain;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use crate::error::LoopClosed;
use crate::panic::quietly;
use crate::process::Entry;
use crate::sync::generation::{PerProcess, generation, generation_of_process};
use crate::sync::primitive::lock;
use crate::sync::queue::{Queue, Remains};
use crate::sync::registry::{Registered, Registry};
#[cfg(feature = "tokio-runtime")]
use crate::sync::turn_bell::TurnBell;
use crate::sync::watchers::Watchers;
use crate::{asyncio, metrics};
use doorbell::Doorbell;
#[cfg(feature = "tokio-runtime")]
pub(crate) use drain::Drain;

pub(crate) use crate::sync::watchers::WatcherKey;

/// Runs on the loop's thread, attached. An error passes on to the loop.
pub(crate) type Job = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

/// An object that watches for the end of a loop.
pub(crate) trait Watcher: Send + Sync {
    /// Shows the garbage collector what this object holds, which changes only while attached. Must not call Python. May wait
    /// for a lock only if no holder of the lock attaches.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
    /// The loop is closed: nothing posted runs any more.
    fn loop_closed(&self, py: Python<'_>);
}

#[derive(Clone)]
pub(crate) struct Mailbox(Arc<MailboxInner>);

struct MailboxInner {
    queue: Queue<Job, Doorbell>,
    watchers: Watchers<Arc<dyn Watcher>>,
    address: usize,
    /// The process that it belongs to.
    generation: u32,
    /// The loop's debug mode, as the last drain found it.
    debug: AtomicBool,
    /// The second signal of the loop's end.
    weakref: Mutex<Option<Py<PyWeakrefReference>>>,
}

/// Each process has its own, because a thread that calls a loop without being attached may hold the lock at a fork.
static REGISTRY: PerProcess<LazyLock<Registry<Mailbox>>> =
    PerProcess::new(LazyLock::new(Registry::new));

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
    /// The mailbox of a loop, made at the first call for it, on any thread.
    ///
    /// Errors if the loop is closed, or if the system has no descriptor left.
    pub(crate) fn of(entry: &Entry<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let address = event_loop.as_ptr() as usize;
        Self::find(address).map_or_else(|| Self::open(entry, event_loop), Ok)
    }

    /// The mailbox of the loop at this address, if it has one. Called on any thread, attached or not.
    pub(crate) fn find(address: usize) -> Option<Self> {
        REGISTRY.get().find(address)
    }

    /// The `id()` of the loop.
    pub(crate) fn address(&self) -> usize {
        self.0.address
    }

    /// Whether it came to this process by a fork. Nobody drains it here, and its other side is in the parent.
    pub(crate) fn is_inherited(&self) -> bool {
        self.0.generation != generation()
    }

    /// Posts a job, on any thread, attached or not. If the loop is closed, the job is dropped here.
    pub(crate) fn post(&self, job: Job) {
        let refused = match self.is_inherited() {
            true => Some(job),
            false => self.0.queue.push(job).err(),
        };
        quietly(|| drop(refused));
    }

    /// Whether the loop is in debug mode. A change shows from the next drain on.
    pub(crate) fn is_debug(&self) -> bool {
        self.0.debug.load(Ordering::Relaxed)
    }

    /// Keeps an object alive until [`unwatch`](Self::unwatch), and tells it when the loop closes. `None` if the loop is closed
    /// already: then nobody tells the object.
    pub(crate) fn watch(&self, object: Arc<dyn Watcher>) -> Option<WatcherKey> {
        self.0.watchers.add(object)
    }

    /// Ends `watch`, once.
    pub(crate) fn unwatch(&self, key: WatcherKey) {
        drop(self.0.watchers.remove(key));
    }

    /// Opens the mailbox of a new loop whose selector waits for `bell` and runs the drain. The selector owns the drain.
    #[cfg(feature = "tokio-runtime")]
    pub(crate) fn open_for_selector<'py>(
        entry: &Entry<'py>,
        event_loop: &Bound<'py, PyAny>,
        bell: Arc<TurnBell>,
    ) -> PyResult<Bound<'py, Drain>> {
        let py = entry.py();
        let mailbox = Self::new(event_loop)?;
        let drain = Drain::new(py, &mailbox, true)?.into_bound(py);
        mailbox.reference(event_loop)?;
        drop(mailbox.0.queue.replace_bell(Doorbell::Turn(bell)));
        // Nobody else knows the new loop. What has its address in the registry is closed.
        let _none = REGISTRY.get().add(&mailbox);
        Ok(drain)
    }

    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(Arc::new(MailboxInner {
            queue: Queue::new(Doorbell::NotYet),
            watchers: Watchers::new(),
            address: event_loop.as_ptr() as usize,
            generation: generation_of_process(),
            debug: AtomicBool::new(asyncio::is_debug(event_loop)?),
            weakref: Mutex::new(None),
        })))
    }

    fn open(entry: &Entry<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = entry.py();
        if asyncio::is_closed(event_loop)? {
            return Err(LoopClosed::new_err(format!(
                "the event loop {event_loop:?} is closed: nothing can be awaited on it any more"
            )));
        }
        let mailbox = Self::new(event_loop)?;
        if let Some(first) = REGISTRY.get().add(&mailbox) {
            mailbox.close(py);
            return Ok(first);
        }
        let referenced = mailbox.reference(event_loop);
        if let Err(error) = referenced.and_then(|()| drain::install(&mailbox, event_loop)) {
            mailbox.close(py);
            return Err(error);
        }
        Ok(mailbox)
    }

    /// The loop, unless it is gone.
    pub(crate) fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        lock(&self.0.weakref).as_ref()?.bind(py).upgrade()
    }

    /// Asks to be told when the loop object dies.
    fn reference(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let signal = Py::new(event_loop.py(), LoopGone(self.clone()))?;
        let weakref = asyncio::weakref(event_loop, signal.into_any()).map_err(|error| {
            if !error.is_instance_of::<PyTypeError>(event_loop.py()) {
                return error;
            }
            PyTypeError::new_err(format!(
                "the event loop {event_loop:?} cannot be referenced weakly, so nothing would tell of its end for sure: give its \
                 class a `__weakref__` slot"
            ))
        })?;
        *lock(&self.0.weakref) = Some(weakref.unbind());
        Ok(())
    }

    /// Closes the mailbox, once. Called attached. Every lock is released before anything is dropped.
    fn close(&self, py: Python<'_>) {
        if self.is_inherited() {
            self.leave_to_parent();
            return;
        }
        let Remains { jobs, bell } = self.0.queue.close();
        REGISTRY.get().remove(self);
        let watchers = self.0.watchers.close();
        let weakref = lock(&self.0.weakref).take();
        py.detach(|| jobs.into_iter().for_each(|job| quietly(|| drop(job))));
        for (_, watcher) in watchers.into_iter().flatten() {
            quietly(|| watcher.loop_closed(py));
        }
        drop((weakref, bell));
    }

    /// Closes the mailbox in a child. What the parent has posted, or waits for, is the parent's to end.
    fn leave_to_parent(&self) {
        let weakref = lock(&self.0.weakref).take();
        if let Some(Remains { jobs, bell }) = self.0.queue.close_inherited() {
            std::mem::forget(jobs);
            drop(bell);
        }
        std::mem::forget(self.0.watchers.close());
        drop(weakref);
    }
}

/// Forgets the mailboxes of the parent, in the child of a fork.
pub(crate) fn forget_parents(py: Python<'_>) {
    metrics::forget_parents();
    let inherited = REGISTRY.inherited();
    let inherited = inherited
        .into_iter()
        .flat_map(|registry| registry.take_inherited());
    for (_, mailbox) in inherited {
        let queue = &mailbox.0.queue;
        if let Some(Err(error)) = queue.with_inherited_bell(Doorbell::part_from_parent) {
            PyErr::from(error).write_unraisable(py, None);
        }
        // Never dropped: see `leave_to_parent`.
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

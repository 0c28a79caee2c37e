//! The callable that a loop calls to run the posted jobs. [`event_loop`](super) describes the protocol.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::Mailbox;
use super::descriptor::Descriptor;
use super::doorbell::{self, Doorbell, HelperCall};
use crate::process::Entry;
use crate::{asyncio, metrics};

/// The most jobs that one drain runs before the loop's other work gets its turn.
const BATCH: usize = 128;

/// Gives the drain to the loop: at once on the loop's own thread, through `call_soon_threadsafe` on another.
pub(super) fn install(mailbox: &Mailbox, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    if asyncio::running_loop(py)?.is_some_and(|running| running.is(event_loop)) {
        return attach(event_loop, mailbox);
    }
    let install = Install {
        is_installed: AtomicBool::new(false),
        mailbox: mailbox.clone(),
        event_loop: event_loop.clone().unbind(),
    };
    asyncio::call_soon_threadsafe(event_loop, Bound::new(py, install)?.as_any())
}

/// Makes the drain, lets a loop own it, as a reader if it watches our descriptor, and gives the mailbox its bell. On the loop's
/// thread: without the GIL, Python frees an object on the thread that made it, so the end of the loop frees the drain at once.
fn attach(event_loop: &Bound<'_, PyAny>, mailbox: &Mailbox) -> PyResult<()> {
    let drain = Drain::new(event_loop.py(), mailbox, true)?;
    let drain = drain.bind(event_loop.py());
    let bell = match Descriptor::watched_by(event_loop, drain.as_any())? {
        Some(descriptor) => Doorbell::Descriptor(descriptor),
        None => helper(event_loop, drain)?,
    };
    let replaced = mailbox.0.queue.replace_bell(bell);
    drop(replaced);
    Ok(())
}

fn helper(event_loop: &Bound<'_, PyAny>, drain: &Bound<'_, Drain>) -> PyResult<Doorbell> {
    let py = event_loop.py();
    // The timer never fires. It is there to be dropped with the loop.
    asyncio::call_later(event_loop, 100.0 * 365.0 * 86_400.0, drain.as_any())?;
    doorbell::start_helper()?;
    let called = Drain::new(py, &drain.get().mailbox, false)?;
    let event_loop = asyncio::weakref(event_loop, py.None())?.unbind();
    Ok(Doorbell::Helper(HelperCall::new(
        event_loop,
        called.into_any(),
    )))
}

/// Gives the drain to the loop in a new handle. The traceback of the error that a drain raises keeps the handle that called it,
/// and would keep the drain alive after the loop has closed.
fn replace_handle(drain: &Bound<'_, Drain>) {
    let mailbox = &drain.get().mailbox;
    if mailbox.is_inherited() {
        return;
    }
    let descriptor = mailbox.0.queue.with_bell(Doorbell::descriptor).flatten();
    if let (Some(event_loop), Some(descriptor)) = (mailbox.event_loop(drain.py()), descriptor) {
        // Not if the job has closed the loop.
        let _ = asyncio::add_reader(&event_loop, descriptor, drain.as_any());
    }
}

/// The callable that the loop calls when the bell rang.
#[pyclass(frozen, module = "pyo3_asyncio")]
pub(crate) struct Drain {
    mailbox: Mailbox,
    /// Whether this object's end is the loop's end. The one that the helper passes on is not.
    owned_by_loop: bool,
}

impl Drain {
    pub(super) fn new(
        py: Python<'_>,
        mailbox: &Mailbox,
        owned_by_loop: bool,
    ) -> PyResult<Py<Self>> {
        let mailbox = mailbox.clone();
        let drain = Self {
            mailbox,
            owned_by_loop,
        };
        Py::new(py, drain)
    }

    /// Runs the posted jobs for the loop's selector. Reports an error as the loop does that of a callback.
    #[cfg(feature = "tokio-runtime")]
    pub(crate) fn run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Err(error) = Self::__call__(slf) else {
            return Ok(());
        };
        match slf.get().mailbox.event_loop(py) {
            Some(event_loop) if !asyncio::ends_the_loop(py, &error) => {
                let message = "exception in a callback of a Rust future";
                asyncio::call_exception_handler(&event_loop, message, error.value(py), None, None)
            }
            _ => Err(error),
        }
    }

    /// Closes the mailbox, as the end of the loop does.
    #[cfg(feature = "tokio-runtime")]
    pub(crate) fn close(&self, py: Python<'_>) {
        self.mailbox.close(py);
    }
}

#[pymethods]
impl Drain {
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mailbox = &slf.get().mailbox;
        if mailbox.is_inherited() {
            return Ok(());
        }
        let _entry = Entry::new(py)?;
        let queue = &mailbox.0.queue;
        let mut turn = Turn { mailbox, jobs: 0 };
        if let Some(rung) = queue.answer() {
            metrics::woken(rung);
        }
        if let Some(event_loop) = mailbox.event_loop(py) {
            let debug = asyncio::is_debug(&event_loop)?;
            mailbox.0.debug.store(debug, Ordering::Relaxed);
        }
        // A job may fork.
        while turn.jobs < BATCH && !mailbox.is_inherited() {
            let Some(job) = queue.pop() else {
                break;
            };
            turn.jobs += 1;
            job(py).inspect_err(|_| replace_handle(slf))?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.owned_by_loop {
            true => traverse_watchers(&self.mailbox, &visit),
            false => Ok(()),
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        if self.owned_by_loop {
            self.mailbox.close(py);
        }
    }
}

/// Shows the garbage collector what waits on the loop.
fn traverse_watchers(mailbox: &Mailbox, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
    if mailbox.is_inherited() {
        return Ok(());
    }
    let watchers = mailbox.0.watchers.lock();
    let mut watchers = watchers.iter().flatten();
    watchers.try_for_each(|(_, watcher)| watcher.traverse(visit))
}

/// One call of the drain. Its drop calls for another if jobs are left.
struct Turn<'a> {
    mailbox: &'a Mailbox,
    jobs: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        metrics::turn(self.jobs);
        self.mailbox.0.queue.pause();
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if self.owned_by_loop {
            asyncio::in_deallocation(|py| self.mailbox.close(py));
        }
    }
}

/// Installs the drain from within the loop. Dropped uncalled, it closes the mailbox.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Install {
    is_installed: AtomicBool,
    mailbox: Mailbox,
    event_loop: Py<PyAny>,
}

impl Install {
    fn is_installed(&self) -> bool {
        self.is_installed.load(Ordering::Relaxed)
    }
}

#[pymethods]
impl Install {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // The loop of a child takes nothing of the parent, and no loop takes a drain twice.
        if self.mailbox.is_inherited() || self.is_installed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        attach(self.event_loop.bind(py), &self.mailbox).inspect_err(|_| {
            // Nobody would ever come for the jobs.
            self.mailbox.close(py);
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        match self.is_installed() {
            true => Ok(()),
            false => traverse_watchers(&self.mailbox, &visit),
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        if !self.is_installed() {
            self.mailbox.close(py);
        }
    }
}

impl Drop for Install {
    fn drop(&mut self) {
        if !self.is_installed() {
            asyncio::in_deallocation(|py| self.mailbox.close(py));
        }
    }
}

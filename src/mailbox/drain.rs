//! How a loop comes to run what is posted: the callable that it is given, its turns, and the end of both.
//!
//! The protocol is told in [`mailbox`](super).

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::Mailbox;
use super::doorbell::{self, Call, Doorbell};
use crate::gate::{self, Who};
use crate::{asyncio, metrics, process};

/// The most jobs that one turn of the drain runs before the loop's other work gets its turn.
const BATCH: usize = 128;

/// Hangs the drain into the loop: at once on the loop's own thread, through `call_soon_threadsafe` from another.
pub(super) fn install(mailbox: &Mailbox, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let drain = Drain::new(py, mailbox, true)?;
    if asyncio::running_loop(py)?.is_some_and(|running| running.is(event_loop)) {
        return hang(event_loop, drain.bind(py));
    }
    let install = Install {
        is_installed: AtomicBool::new(false),
        drain,
        event_loop: event_loop.clone().unbind(),
    };
    asyncio::call_soon_threadsafe(event_loop, Bound::new(py, install)?.as_any())
}

/// Lets a loop own the drain, by a reader where it can have one, and gives the mailbox its bell. On the loop's thread.
fn hang(event_loop: &Bound<'_, PyAny>, drain: &Bound<'_, Drain>) -> PyResult<()> {
    let mailbox = &drain.get().mailbox;
    let bell = match watched_descriptor(event_loop, drain)? {
        Some(bell) => bell,
        None => helper(event_loop, drain)?,
    };
    let replaced = mailbox.0.queue.replace_bell(bell);
    drop(replaced);
    Ok(())
}

#[cfg(not(unix))]
fn watched_descriptor(_: &Bound<'_, PyAny>, _: &Bound<'_, Drain>) -> PyResult<Option<Doorbell>> {
    Ok(None)
}

/// `None` if the loop watches no descriptors.
#[cfg(unix)]
fn watched_descriptor(
    event_loop: &Bound<'_, PyAny>,
    drain: &Bound<'_, Drain>,
) -> PyResult<Option<Doorbell>> {
    if doorbell::helper_is_forced() {
        return Ok(None);
    }
    let py = event_loop.py();
    let descriptor = doorbell::Descriptor::new()?;
    match asyncio::add_reader(event_loop, descriptor.raw(), drain.as_any()) {
        Ok(()) => Ok(Some(Doorbell::Descriptor(descriptor))),
        Err(error) if asyncio::watches_none(py, &error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn helper(event_loop: &Bound<'_, PyAny>, drain: &Bound<'_, Drain>) -> PyResult<Doorbell> {
    let py = event_loop.py();
    // The timer is there to be dropped with the loop: its time never comes.
    asyncio::call_later(event_loop, 100.0 * 365.0 * 86_400.0, drain.as_any())?;
    doorbell::start_helper()?;
    let visitor = Drain::new(py, &drain.get().mailbox, false)?;
    let event_loop = asyncio::weakref(event_loop, py.None())?.unbind();
    Ok(Doorbell::Helper(Call::new(event_loop, visitor.into_any())))
}

/// The callable that the loop calls when the bell rang.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Drain {
    mailbox: Mailbox,
    /// Whether this object's end is the loop's end. The helper's calls carry one that is not.
    owned_by_loop: bool,
}

impl Drain {
    fn new(py: Python<'_>, mailbox: &Mailbox, owned_by_loop: bool) -> PyResult<Py<Self>> {
        let mailbox = mailbox.clone();
        Py::new(
            py,
            Self {
                mailbox,
                owned_by_loop,
            },
        )
    }
}

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if self.mailbox.is_inherited() {
            return Ok(());
        }
        let queue = &self.mailbox.0.queue;
        let Some(_step) = gate::turn(|| process::name(py)) else {
            let mailbox = self.mailbox.clone();
            queue.hush();
            gate::when_open_to(Who::Turn, move || mailbox.0.queue.ring_again());
            return Ok(());
        };
        let mut turn = Turn {
            mailbox: &self.mailbox,
            jobs: 0,
        };
        if let Some(rung) = queue.answer() {
            metrics::woken(rung);
        }
        if let Some(event_loop) = self.mailbox.event_loop(py) {
            let debug = asyncio::is_debug(&event_loop)?;
            self.mailbox.0.debug.store(debug, Ordering::Relaxed);
        }
        for _ in 0..BATCH {
            // A job may have forked.
            if self.mailbox.is_inherited() {
                break;
            }
            let Some(job) = queue.pop() else {
                break;
            };
            turn.jobs += 1;
            job(py)?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.owned_by_loop || self.mailbox.is_inherited() {
            return Ok(());
        }
        let anchors = self.mailbox.0.anchors.lock();
        let mut anchored = anchors.iter().flatten();
        anchored.try_for_each(|(_, anchored)| anchored.traverse(&visit))
    }

    fn __clear__(&self, py: Python<'_>) {
        if self.owned_by_loop {
            self.mailbox.close(py);
        }
    }
}

/// A turn of the drain. Ends however it ends, so that the jobs that are left get another.
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
            close_quietly(&self.mailbox);
        }
    }
}

/// Closes from inside a deallocation, where an exception may be under way that is none of ours.
fn close_quietly(mailbox: &Mailbox) {
    // `None` only when the interpreter is gone, and every loop with it.
    let _ = Python::try_attach(|py| {
        let under_way = PyErr::take(py);
        mailbox.close(py);
        if let Some(error) = under_way {
            error.restore(py);
        }
    });
}

/// Installs the drain from within the loop. Dropped unrun, it takes the drain with it, which closes the mailbox.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Install {
    /// The loop calls this once. Who else does is late.
    is_installed: AtomicBool,
    drain: Py<Drain>,
    event_loop: Py<PyAny>,
}

#[pymethods]
impl Install {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // A child's loop has nothing of the parent's hung into it, and none has anything hung into it twice.
        if self.drain.get().mailbox.is_inherited()
            || self.is_installed.swap(true, Ordering::Relaxed)
        {
            return Ok(());
        }
        hang(self.event_loop.bind(py), self.drain.bind(py)).inspect_err(|_| {
            // Nobody would ever come for the jobs.
            self.drain.get().mailbox.close(py);
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.drain)?;
        visit.call(&self.event_loop)
    }
}

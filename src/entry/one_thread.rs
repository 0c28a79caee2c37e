//! An event loop and a tokio runtime in one thread: asyncio's loop, on a selector that waits in the runtime.
//!
//! 1. The loop owns the selector, and the selector owns [`Turns`], which owns the runtime and the loop's drain.
//! 2. The selector waits by a [turn](LoopRuntime::turn) of the runtime, detached. Then it runs the drain, so what the turn has
//!    brought needs no doorbell.
//! 3. Closing the selector closes the mailbox and drops the runtime, in this order and before the selector's descriptor is closed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::blocking::SIGNAL_PATIENCE;
use crate::asyncio;
use crate::event_loop::{Drain, Mailbox};
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::runtime::tokio::Tokio;
use crate::runtime::tokio::one_thread::{LoopRuntime, RunsHere, enter_here, leave_here, run_here};
use crate::sync::activity;
use crate::sync::primitive::lock;

pub(crate) fn new_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let entry = Entry::new(py)?;
    let selector = asyncio::new_selector(py)?;
    let runtime = asyncio::selector_descriptor(&selector)
        .and_then(|descriptor| Ok(LoopRuntime::new(descriptor)?))
        .map_err(|error| {
            let refused = PyNotImplementedError::new_err(
                "tokio cannot run inside asyncio's event loop here: the loop needs a selector with a descriptor, such as epoll \
                 or kqueue; use the default event loop",
            );
            refused.set_cause(py, Some(error));
            refused
        })?;
    let bell = Arc::clone(runtime.bell());
    let turns = Turns {
        runtime: Mutex::new(Some(runtime)),
        drain: Mutex::new(None),
        is_on_main_thread: AtomicBool::new(false),
    };
    let turns = Bound::new(py, turns)?;
    let event_loop = asyncio::new_selector_loop(&selector, turns.as_any())?;
    let drain = Mailbox::open_for_selector(&entry, &event_loop, bell)?;
    *lock(&turns.get().drain) = Some(drain.unbind());
    Ok(event_loop)
}

/// Lets this thread know the runtime of a loop of [`new_event_loop`] before it runs, until the guard drops.
pub(super) fn enter(event_loop: &Bound<'_, PyAny>) -> PyResult<Option<RunsHere>> {
    let Some(turns) = asyncio::turns_of(event_loop)? else {
        return Ok(None);
    };
    let turns = turns.cast_into::<Turns>()?;
    let runtime = lock(&turns.get().runtime).clone();
    Ok(Some(run_here(runtime)))
}

/// Waits for the main future's result on a loop of [`new_event_loop`], which must run meanwhile. `None` if the future was dropped
/// without a result.
pub(super) fn receive<T>(
    event_loop: &Bound<'_, PyAny>,
    receiver: &mpsc::Receiver<T>,
) -> PyResult<Option<T>> {
    loop {
        match receiver.try_recv() {
            Ok(value) => return Ok(Some(value)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            // Python has settled the main future. The next turns drop it.
            Err(TryRecvError::Empty) => {
                let turn = asyncio::sleep(event_loop.py(), 0.0)?;
                asyncio::run_until_complete(event_loop, &turn)?;
            }
        }
    }
}

/// Waits for a loop's selector.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Turns {
    /// `None` once the selector is closed.
    runtime: Mutex<Option<Arc<LoopRuntime>>>,
    drain: Mutex<Option<Py<Drain>>>,
    /// Whether the loop runs there now.
    is_on_main_thread: AtomicBool,
}

impl Turns {
    fn runtime(&self) -> PyResult<Arc<LoopRuntime>> {
        let runtime = lock(&self.runtime).clone();
        let runtime = runtime.ok_or_else(|| PyRuntimeError::new_err("Event loop is closed"))?;
        if runtime.is_inherited() {
            return Err(PyRuntimeError::new_err(
                "this event loop belongs to the parent of this process: make a new one",
            ));
        }
        Ok(runtime)
    }
}

#[pymethods]
impl Turns {
    /// Waits for what the runtime brings, and runs the drain. Returns whether the selector may have events.
    fn turn(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let runtime = self.runtime()?;
        let timeout = timeout
            .map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        // A signal does not end a turn.
        let is_long = timeout.is_none_or(|timeout| timeout > SIGNAL_PATIENCE);
        let looks_for_signals = is_long && self.is_on_main_thread.load(Ordering::Relaxed);
        let patience = looks_for_signals.then_some(SIGNAL_PATIENCE);
        let may_have_events = py.detach(|| {
            let may_have_events = runtime.turn(timeout, patience);
            // Each poll in a turn is an activity of its own, and the turn is none, so that the end of the process does not wait for
            // a thread that waits here. The `Entry` below ends the activity that this begins.
            activity::count_in();
            may_have_events
        });
        let _entry = Entry::new(py)?;
        if runtime.bell().is_rung() {
            let drain = lock(&self.drain).as_ref().map(|drain| drain.clone_ref(py));
            drain.map_or(Ok(()), |drain| Drain::run(drain.bind(py)))?;
        }
        Ok(may_have_events)
    }

    fn found_nothing(&self) -> PyResult<()> {
        self.runtime()?.found_nothing();
        Ok(())
    }

    /// Refuses to run on a thread that drives a tokio runtime already.
    fn check_thread(&self) -> PyResult<()> {
        match Tokio::may_block() {
            true => Ok(()),
            false => Err(PyRuntimeError::new_err(
                "this event loop runs tokio itself, and this thread drives a tokio runtime already, which cannot contain another: \
                 run the loop on a thread of its own (std::thread::spawn, tokio::task::spawn_blocking), or use asyncio's",
            )),
        }
    }

    /// The loop begins to run on this thread. No Rust function calls the loop: Python up to 3.13 ends a daemon thread by unwinding
    /// its stack, which must not meet one.
    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let is_on_main_thread = asyncio::is_main_thread(py)?;
        self.is_on_main_thread
            .store(is_on_main_thread, Ordering::Relaxed);
        enter_here(lock(&self.runtime).clone());
        Ok(())
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        leave_here();
    }

    fn close(&self, py: Python<'_>) {
        let runtime = lock(&self.runtime).take();
        let drain = lock(&self.drain).take();
        let here = run_here(runtime.clone());
        if let Some(drain) = drain {
            drain.get().close(py);
        }
        drop(here);
        py.detach(|| drop(runtime));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        lock(&self.drain)
            .as_ref()
            .map_or(Ok(()), |drain| visit.call(drain))
    }

    fn __clear__(&self, py: Python<'_>) {
        self.close(py);
    }
}

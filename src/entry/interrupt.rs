//! Ctrl-C while a loop of ours runs: the first ends the work in an orderly way, the second interrupts whatever Python does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;

use crate::asyncio::{self, SignalsWake};
use crate::sync::primitive::lock;

/// What the first Ctrl-C does.
#[derive(Default)]
enum Work {
    /// The work has not begun. Who begins it looks whether Ctrl-C came before.
    #[default]
    NotYet,
    Cancel(Py<PyAny>),
    Stop,
}

/// The signal handler.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Handler {
    event_loop: Py<PyAny>,
    work: Mutex<Work>,
    interrupts: AtomicUsize,
}

#[pymethods]
impl Handler {
    #[pyo3(signature = (*_signal_and_frame))]
    fn __call__(&self, py: Python<'_>, _signal_and_frame: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.interrupts.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(PyKeyboardInterrupt::new_err(()));
        }
        self.end_work(py)
    }
}

impl Handler {
    fn end_work(&self, py: Python<'_>) -> PyResult<()> {
        let work = match &*lock(&self.work) {
            Work::NotYet => return Ok(()),
            Work::Cancel(main) => Some(main.clone_ref(py)),
            Work::Stop => None,
        };
        let event_loop = self.event_loop.bind(py);
        match work {
            Some(main) if asyncio::done(main.bind(py))? => {
                return Err(PyKeyboardInterrupt::new_err(()));
            }
            Some(main) => asyncio::cancel(main.bind(py))?,
            None => asyncio::stop(event_loop)?,
        }
        // The loop may be asleep, and what a signal handler schedules does not wake it.
        asyncio::wake(event_loop)
    }
}

/// Has Ctrl-C in hand until it is removed.
pub(super) struct Interrupts<'py> {
    handler: Bound<'py, Handler>,
    /// `None` where Ctrl-C is not ours to handle: outside the main thread, or where the program has a handler of its own.
    before: Option<Bound<'py, PyAny>>,
    wake: Option<SignalsWake<'py>>,
}

impl<'py> Interrupts<'py> {
    pub(super) fn install(event_loop: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        let handler = Handler {
            event_loop: event_loop.clone().unbind(),
            work: Mutex::default(),
            interrupts: AtomicUsize::new(0),
        };
        let handler = Bound::new(py, handler)?;
        let before = if asyncio::interrupt_is_default(py)? {
            match asyncio::set_interrupt_handler(handler.as_any()) {
                Ok(before) => Some(before),
                Err(error) if error.is_instance_of::<PyValueError>(py) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        let wake = match &before {
            None => None,
            Some(before) => SignalsWake::install(event_loop).or_else(|error| {
                asyncio::set_interrupt_handler(before)?;
                Err(error)
            })?,
        };
        Ok(Self {
            handler,
            before,
            wake,
        })
    }

    /// From now on, the first Ctrl-C cancels `main`.
    pub(super) fn cancel(&self, main: &Bound<'py, PyAny>) -> PyResult<()> {
        self.begin(Work::Cancel(main.clone().unbind()))
    }

    /// From now on, the first Ctrl-C stops the loop.
    pub(super) fn stop(&self) -> PyResult<()> {
        self.begin(Work::Stop)
    }

    fn begin(&self, work: Work) -> PyResult<()> {
        let handler = self.handler.get();
        *lock(&handler.work) = work;
        if self.count() > 0 {
            handler.end_work(self.handler.py())?;
        }
        Ok(())
    }

    /// How often Ctrl-C came.
    pub(super) fn count(&self) -> usize {
        self.handler.get().interrupts.load(Ordering::Relaxed)
    }

    /// Puts the handler from before back. Errors with a `KeyboardInterrupt` that strikes meanwhile.
    pub(super) fn remove(self) -> PyResult<()> {
        let Some(before) = &self.before else {
            return Ok(());
        };
        let py = before.py();
        let remove = || {
            self.wake.as_ref().map_or(Ok(()), SignalsWake::remove)?;
            asyncio::set_interrupt_handler(before).map(drop)
        };
        match remove() {
            Err(error) if asyncio::ends_the_loop(py, &error) => {
                // The signal that was pending is served: nothing is in the way now.
                remove()?;
                Err(error)
            }
            removed => removed,
        }
    }
}

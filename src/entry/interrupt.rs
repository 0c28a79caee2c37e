//! Ctrl-C while a loop that Rust started runs.
//!
//! The first Ctrl-C cancels the main future, or stops the loop. The second one raises `KeyboardInterrupt`, and so does the first
//! one if the main future is done.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;

use crate::asyncio::{self, SignalsWake};
use crate::sync::primitive::lock;

/// What the first Ctrl-C does.
#[derive(Default)]
enum Work {
    /// Nothing yet. [`Interrupts::begin`] handles a Ctrl-C that came before it.
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
        // A signal handler's `call_soon` does not wake a sleeping loop.
        asyncio::wake(event_loop)
    }
}

/// Handles Ctrl-C until it is removed.
pub(super) struct Interrupts<'py> {
    handler: Bound<'py, Handler>,
    /// The previous handler. `None` if Ctrl-C is not ours to handle: outside the main thread, or if the program has a handler.
    previous: Option<Bound<'py, PyAny>>,
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
        let previous = if asyncio::interrupt_is_default(py)? {
            match asyncio::set_interrupt_handler(handler.as_any()) {
                Ok(previous) => Some(previous),
                Err(error) if error.is_instance_of::<PyValueError>(py) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        let wake = match &previous {
            None => None,
            Some(previous) => SignalsWake::install(event_loop).or_else(|error| {
                asyncio::set_interrupt_handler(previous)?;
                Err(error)
            })?,
        };
        Ok(Self {
            handler,
            previous,
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

    /// The number of Ctrl-Cs so far.
    pub(super) fn count(&self) -> usize {
        self.handler.get().interrupts.load(Ordering::Relaxed)
    }

    /// Restores the previous handler. Returns a `KeyboardInterrupt` that our handler raises meanwhile.
    pub(super) fn remove(self) -> PyResult<()> {
        let Some(previous) = &self.previous else {
            return Ok(());
        };
        let py = previous.py();
        let remove = || {
            self.wake.as_ref().map_or(Ok(()), SignalsWake::remove)?;
            asyncio::set_interrupt_handler(previous).map(drop)
        };
        match remove() {
            Err(error) if asyncio::ends_the_loop(py, &error) => {
                // The pending signal has been handled, so the second attempt completes.
                remove()?;
                Err(error)
            }
            removed => removed,
        }
    }
}

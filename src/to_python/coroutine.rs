//! The Python object that is to a Rust future what the object of an `async def` is to its body.
//!
//! It follows `Objects/genobject.c`, and runs in the same way wherever asyncio takes a coroutine: the first `send` starts the
//! Rust future, a step that has to wait yields a [`RustFuture`] to the task, and the drain that settles this runs the task's
//! next step.
//!
//! # Protocol
//!
//! 1. A step takes the state out and leaves `Running` behind, so that no other thread, and no Python code that the step
//!    runs, can begin a second one. A step that panics ends the coroutine.
//! 2. Whatever ends the coroutine before its Rust future is done (`throw`, `close`, the object's end) cancels the future that it
//!    waits for, which drops the Rust future on the runtime, unpolled.
//! 3. A coroutine whose future takes a [`CancelHandle`](crate::CancelHandle) hands `CancelledError` to it instead, and goes
//!    on to wait. Everything else that is thrown ends it as any other.
//! 4. The lock is never held while Python is called or an object is dropped.
//! 5. The object may end on any thread, and within a collection of garbage. Whoever else was told to wait for its future
//!    hears from the drain then.
//!
//! # Where it differs from an `async def`
//!
//! - The interpreter asks for Python's very type. So a `types.coroutine` cannot `yield from` the coroutine, but can from its
//!   `__await__()`; and `__await__()` has to refuse a second awaiter, where `await` itself does.
//! - Its end cancels the future that it waits for, while a future of asyncio's stays pending.
//! - The garbage collector does not see what the Rust future holds, but for the arguments of an exported function (`Py<…>` and
//!   `Option<Py<…>>`) before the first step: a cycle through that lasts until the future is done, or the coroutine closed.
//! - It has a `__next__`, by which tasks make their steps: `next(coroutine)` works, as `coroutine.send(None)`.
//! - `inspect.iscoroutinefunction` says no of an exported function: what `inspect.markcoroutinefunction` (Python 3.12) sets is an
//!   attribute, and a built-in function has none of its own.
//! - The warning of one that was never awaited does not say where it was made: Python tracks that of its own only.

mod introspection;
mod wrapper;

use std::ffi::CString;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::awaiting::{check_throw, returned, thrown};
use super::cancel::hand_over;
use super::future::RustFuture;
use super::state::can_be_raised;
use crate::asyncio;
use crate::panic::quietly;
use crate::process::Entry;
use crate::sync::primitive::lock;
pub(crate) use introspection::{Names, names_of};
use introspection::{Renamed, RustFrame};
use wrapper::RustCoroutineWrapper;

/// What the first step of a coroutine does.
pub(super) trait Start: Send {
    fn start(self: Box<Self>, entry: &Entry<'_>) -> PyResult<Started>;

    /// What it holds twice: in the Rust future, where the collector cannot look, and beside it.
    fn arguments(&self) -> &[Py<PyAny>];
}

pub(super) enum Started {
    Done(Py<PyAny>),
    Waiting(Py<RustFuture>),
}

/// A Rust future as a coroutine: nothing runs before it is awaited.
#[pyclass(frozen, weakref, module = "pyo3_asyncio")]
pub(crate) struct RustCoroutine {
    inner: Mutex<Inner>,
    names: Names,
    made_at: &'static Location<'static>,
}

struct Inner {
    state: State,
    /// Names that Python has given it.
    renamed: Option<Box<Renamed>>,
}

enum State {
    Created(Box<dyn Start>),
    Running,
    Suspended(Py<RustFuture>),
    Finished,
}

/// What a step comes to.
enum Step {
    Yield(Py<RustFuture>),
    Return(Py<PyAny>),
}

impl RustCoroutine {
    pub(super) fn new<'py>(
        py: Python<'py>,
        names: Names,
        made_at: &'static Location<'static>,
        start: Box<dyn Start>,
    ) -> PyResult<Bound<'py, Self>> {
        let inner = Inner {
            state: State::Created(start),
            renamed: None,
        };
        Bound::new(
            py,
            Self {
                inner: Mutex::new(inner),
                names,
                made_at,
            },
        )
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Takes the state out for a step. Errors if there is none to take.
    fn begin(&self) -> PyResult<(State, Running<'_>)> {
        let mut inner = self.inner();
        match inner.state {
            State::Running => Err(already_executing()),
            State::Finished => Err(PyRuntimeError::new_err(
                "cannot reuse already awaited coroutine",
            )),
            _ => {
                let state = std::mem::replace(&mut inner.state, State::Running);
                Ok((state, Running(self)))
            }
        }
    }

    fn step(&self, py: Python<'_>) -> PyResult<Step> {
        let (state, running) = self.begin()?;
        let step = match state {
            State::Created(start) => Entry::new(py)
                .and_then(|entry| start.start(&entry))
                .and_then(|started| match started {
                    Started::Done(value) => Ok(Step::Return(value)),
                    Started::Waiting(future) => wait(py, future),
                }),
            State::Suspended(future) => wait(py, future),
            State::Running | State::Finished => unreachable!("`begin` refuses these"),
        };
        running.end(py, step)
    }

    /// Ends the coroutine and gives the state that it was in. Errors if a step is under way.
    fn finish(&self) -> PyResult<State> {
        let mut inner = self.inner();
        match inner.state {
            State::Running => Err(already_executing()),
            _ => Ok(std::mem::replace(&mut inner.state, State::Finished)),
        }
    }

    fn warn_never_awaited(&self, py: Python<'_>) -> PyResult<()> {
        let message = format!("coroutine '{}' was never awaited", self.get_qualname(py));
        let category = py.get_type::<PyRuntimeWarning>();
        PyErr::warn(py, &category, &CString::new(message)?, 1)
    }

    /// What happens when nobody has a use for it any more.
    fn finalize(&self, py: Python<'_>) {
        if matches!(self.inner().state, State::Created(_)) {
            if let Err(error) = self.warn_never_awaited(py) {
                error.write_unraisable(py, None);
            }
        }
        match self.finish() {
            Ok(State::Created(start)) => quietly(|| drop(start)),
            Ok(State::Suspended(future)) => future.get().forsake(),
            // Nothing runs it: an object in the middle of a step is referred to.
            _ => {}
        }
    }
}

/// A step that is under way. Where it ends without a word, by a panic, the coroutine has ended.
struct Running<'a>(&'a RustCoroutine);

impl Running<'_> {
    /// Leaves the state that a step ends in.
    fn end(self, py: Python<'_>, step: PyResult<Step>) -> PyResult<Step> {
        if let Ok(Step::Yield(future)) = &step {
            self.0.inner().state = State::Suspended(future.clone_ref(py));
        }
        step
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        if matches!(inner.state, State::Running) {
            inner.state = State::Finished;
        }
    }
}

/// The step of a coroutine that waits for a future: yields it, or returns with its outcome.
fn wait(py: Python<'_>, future: Py<RustFuture>) -> PyResult<Step> {
    match future.get().yields() {
        Ok(true) => Ok(Step::Yield(future)),
        Ok(false) => future.get().outcome(py).map(Step::Return),
        Err(error) => {
            future.get().discard(py)?;
            Err(error)
        }
    }
}

fn already_executing() -> PyErr {
    PyValueError::new_err("coroutine already executing")
}

#[pymethods]
impl RustCoroutine {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<RustCoroutineWrapper> {
        if slf.get().is(|state| matches!(state, State::Suspended(_))) {
            return Err(PyRuntimeError::new_err(
                "coroutine is being awaited already",
            ));
        }
        Ok(RustCoroutineWrapper::new(slf.unbind()))
    }

    /// The task's next step, which it makes through the type: `send` would be looked up each time.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.step(py)? {
            Step::Yield(future) => Ok(Some(future.into_any())),
            // The type's slot says so without an exception.
            Step::Return(value) if value.is_none(py) => Ok(None),
            Step::Return(value) => Err(returned(py, value)),
        }
    }

    /// Runs the coroutine to its next wait.
    fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if !value.is_none() && matches!(self.inner().state, State::Created(_)) {
            return Err(PyTypeError::new_err(
                "can't send non-None value to a just-started coroutine",
            ));
        }
        match self.step(py)? {
            Step::Yield(future) => Ok(future.into_any()),
            Step::Return(value) => Err(returned(py, value)),
        }
    }

    /// Raises an exception where the coroutine waits, and drops the Rust future.
    #[pyo3(signature = (*args), text_signature = "($self, type, value=None, traceback=None, /)")]
    fn throw(&self, args: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let py = args.py();
        check_throw(args)?;
        let error = match thrown(args) {
            Ok(error) => error,
            // The future that it waits for refuses what is no exception, and so raises within the coroutine.
            Err(refused) if self.is(|state| matches!(state, State::Suspended(_))) => refused,
            Err(refused) => return Err(refused),
        };
        let (state, running) = self.begin()?;
        let step = match state {
            State::Suspended(future) => match hand_over(future.bind(py), &error) {
                Ok(true) => wait(py, future),
                Ok(false) => future.get().discard(py).and(Err(error)),
                Err(failed) => future.get().discard(py).and(Err(failed)),
            },
            State::Created(start) => {
                quietly(|| drop(start));
                Err(can_be_raised(py, error))
            }
            State::Running | State::Finished => unreachable!("`begin` refuses these"),
        };
        match running.end(py, step)? {
            Step::Yield(future) => Ok(future.into_any()),
            Step::Return(value) => Err(returned(py, value)),
        }
    }

    /// Ends the coroutine and drops the Rust future.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.finish()? {
            State::Created(start) => quietly(|| drop(start)),
            State::Suspended(future) => future.get().discard(py)?,
            State::Running | State::Finished => {}
        }
        Ok(())
    }

    /// Says that it is a `types.CoroutineType`, which `type()` does not: libraries ask `inspect.iscoroutine`.
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        asyncio::coroutine_type(py)
    }

    #[getter]
    fn __name__(&self, py: Python<'_>) -> Py<PyString> {
        self.get_name(py)
    }

    #[setter(__name__)]
    fn rename_to(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_name(value)
    }

    #[getter]
    fn __qualname__(&self, py: Python<'_>) -> Py<PyString> {
        self.get_qualname(py)
    }

    #[setter(__qualname__)]
    fn requalify(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_qualname(value)
    }

    /// Whether a step of the coroutine is under way.
    #[getter]
    fn cr_running(&self) -> bool {
        self.is(|state| matches!(state, State::Running))
    }

    /// Whether the coroutine waits for something.
    #[getter]
    fn cr_suspended(&self) -> bool {
        self.is(|state| matches!(state, State::Suspended(_)))
    }

    /// What the coroutine waits for.
    #[getter]
    fn cr_await(&self, py: Python<'_>) -> Option<Py<RustFuture>> {
        self.awaited(py)
    }

    /// The code object of a function that does nothing, with the coroutine's name and the place in the Rust source.
    #[getter]
    fn cr_code<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.code(py)
    }

    /// As much of a frame as `inspect` and asyncio read. None when the coroutine has ended.
    #[getter]
    fn cr_frame(&self, py: Python<'_>) -> PyResult<Option<RustFrame>> {
        self.frame(py)
    }

    /// Python tracks origins of its own coroutines only. `cr_code` says where this one was made.
    #[getter]
    fn cr_origin(&self) -> Option<Py<PyAny>> {
        None
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.get().describe(slf.py(), slf.as_ptr() as usize)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.inner().state {
            State::Created(start) => start.arguments().iter().try_for_each(|object| {
                // Once for the Rust future's reference: with that, all that there are add up.
                visit.call(object)?;
                visit.call(object)
            }),
            State::Suspended(future) => visit.call(future),
            _ => Ok(()),
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        self.finalize(py);
    }
}

impl Drop for RustCoroutine {
    fn drop(&mut self) {
        if matches!(self.inner().state, State::Finished) {
            return;
        }
        asyncio::in_deallocation(|py| self.finalize(py));
    }
}

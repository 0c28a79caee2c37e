//! The Python object that is to a Rust future what the object of an `async def` is to its body.
//!
//! It follows `Objects/genobject.c`, and runs in the same way wherever asyncio takes a coroutine: the first `send` starts the
//! Rust future, a step that has to wait yields a [`RustFuture`] to the task, and the drain that settles this runs the task's
//! next step.
//!
//! # Protocol
//!
//! 1. A step takes the state out and leaves `Running` behind, so that no other thread, and no Python code that the step
//!    runs, can begin a second one.
//! 2. Whatever ends the coroutine before its Rust future is done (`throw`, `close`, the object's end) cancels the future that it
//!    waits for, which drops the Rust future on the runtime, unpolled.
//! 3. A coroutine whose future takes a [`CancelHandle`](crate::CancelHandle) hands `CancelledError` to it instead, and goes
//!    on to wait. Everything else that is thrown ends it as any other.
//! 4. The lock is never held while Python is called or an object is dropped.

mod introspection;

use std::ffi::CString;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::{
    PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError, PyValueError,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::awaiting::thrown;
use super::cancel::hand_over;
use super::future::RustFuture;
use crate::error::quietly;
use crate::primitive::lock_std;
pub(crate) use introspection::{Names, names_of};
use introspection::{Renamed, RustFrame};

/// What the first step of a coroutine does.
pub(super) trait Start: Send {
    fn start(self: Box<Self>, py: Python<'_>) -> PyResult<Started>;
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
        lock_std(&self.inner)
    }

    fn replace(&self, state: State) -> State {
        std::mem::replace(&mut self.inner().state, state)
    }

    /// Takes the state out for a step. Errors if there is none to take.
    fn begin(&self) -> PyResult<State> {
        let state = self.replace(State::Running);
        match state {
            State::Running => Err(already_executing()),
            State::Finished => {
                self.replace(State::Finished);
                Err(PyRuntimeError::new_err(
                    "cannot reuse already awaited coroutine",
                ))
            }
            state => Ok(state),
        }
    }

    fn step(&self, py: Python<'_>) -> PyResult<Step> {
        let step = match self.begin()? {
            State::Created(start) => start.start(py).and_then(|started| match started {
                Started::Done(value) => Ok(Step::Return(value)),
                Started::Waiting(future) => wait(py, future),
            }),
            State::Suspended(future) => wait(py, future),
            State::Running | State::Finished => unreachable!("`begin` refuses these"),
        };
        self.end(py, step)
    }

    /// Leaves the state that a step ends in.
    fn end(&self, py: Python<'_>, step: PyResult<Step>) -> PyResult<Step> {
        let state = match &step {
            Ok(Step::Yield(future)) => State::Suspended(future.clone_ref(py)),
            _ => State::Finished,
        };
        self.replace(state);
        step
    }

    /// Ends the coroutine where it stands.
    fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        match self.replace(State::Finished) {
            State::Created(start) => quietly(|| drop(start)),
            State::Suspended(future) => future.get().discard(py)?,
            State::Running => {
                self.replace(State::Running);
                return Err(already_executing());
            }
            State::Finished => {}
        }
        Ok(())
    }

    fn warn_never_awaited(&self, py: Python<'_>) -> PyResult<()> {
        let message = format!("coroutine '{}' was never awaited", self.qualname());
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
        // Nothing runs it: an object in the middle of a step is referred to.
        if let Err(error) = self.abandon(py) {
            error.write_unraisable(py, None);
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
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let busy = match slf.get().inner().state {
            State::Suspended(_) => Some("coroutine is being awaited already"),
            _ => None,
        };
        match busy {
            Some(message) => Err(PyRuntimeError::new_err(message)),
            None => Ok(slf),
        }
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.step(py)? {
            Step::Yield(future) => Ok(Some(future.into_any())),
            Step::Return(value) if value.is_none(py) => Ok(None),
            Step::Return(value) => Err(PyStopIteration::new_err((value,))),
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
            Step::Return(value) => Err(PyStopIteration::new_err((value,))),
        }
    }

    /// Raises an exception where the coroutine waits, and drops the Rust future.
    #[pyo3(signature = (r#type, value=None, traceback=None))]
    fn throw(
        &self,
        r#type: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = r#type.py();
        let error = thrown(r#type, value, traceback)?;
        let step = match self.begin()? {
            State::Suspended(future) => match hand_over(future.bind(py), &error) {
                Ok(true) => wait(py, future),
                Ok(false) => future.get().discard(py).and(Err(error)),
                Err(failed) => Err(failed),
            },
            State::Created(start) => {
                quietly(|| drop(start));
                Err(error)
            }
            State::Running | State::Finished => unreachable!("`begin` refuses these"),
        };
        match self.end(py, step)? {
            Step::Yield(future) => Ok(future.into_any()),
            Step::Return(value) => Err(PyStopIteration::new_err((value,))),
        }
    }

    /// Ends the coroutine and drops the Rust future.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.abandon(py)
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
    fn __qualname__(&self) -> String {
        self.qualname()
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
        slf.get().describe(slf.as_ptr() as usize)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.inner().state {
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
        // `None` only when the interpreter is gone, and the loop with it.
        let _ = Python::try_attach(|py| {
            // A deallocation may come while an exception is under way that is none of ours.
            let under_way = PyErr::take(py);
            self.finalize(py);
            if let Some(error) = under_way {
                error.restore(py);
            }
        });
    }
}

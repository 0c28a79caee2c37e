//! The coroutine object of a Rust future.
//!
//! It follows `Objects/genobject.c`, and works wherever asyncio takes a coroutine. The first `send` starts the Rust future. A step
//! that has to wait yields a [`RustFuture`] to the task. The drain that settles this future runs the task's next step.
//!
//! # Protocol
//!
//! 1. A step takes the state and leaves `Running` in its place, so that neither another thread nor Python code inside the step
//!    can begin a second one. A panic in a step finishes the coroutine.
//! 2. `throw`, `close` and dropping the object finish a coroutine that waits. They cancel its [`RustFuture`]. The runtime then
//!    drops the Rust future without polling it again, unless it has `detach_on_cancel`.
//! 3. If the Rust future has a [`CancelHandle`](crate::CancelHandle), a thrown `CancelledError` goes to the handle instead, and
//!    the coroutine waits on. Other exceptions finish the coroutine.
//! 4. The lock is never held while Python is called or an object is dropped.
//! 5. The object may be dropped on any thread, and inside a garbage collection. So the drop does not call the callbacks of the
//!    [`RustFuture`] itself. It posts a job for them.
//!
//! # Differences from `async def`
//!
//! - `types.coroutine` cannot `yield from` the coroutine, because the interpreter requires Python's own type. It can
//!   `yield from` its `__await__()`. So `__await__()` must refuse a second awaiter, which `await` does for an `async def`.
//! - Finishing the coroutine cancels the future that it awaits. A future of asyncio would stay pending.
//! - The garbage collector does not see the objects that the Rust future holds, except the arguments of an exported function
//!   (`Py<…>` and `Option<Py<…>>`) before the first step. A reference cycle through the others lasts until the future is done
//!   or the coroutine is closed.
//! - The coroutine has a `__next__`, because tasks step through it. So `next(coroutine)` works as `coroutine.send(None)`.
//! - `cr_origin`, and the "never awaited" warning, say where in Rust the coroutine was made. Those of an `async def` have the
//!   Python stack, in debug mode.

mod introspection;

use std::ffi::CString;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::awaiting::{RustCoroutineWrapper, check_throw, returned, thrown};
use super::future::RustFuture;
use super::state::can_be_raised;
use crate::asyncio;
use crate::process::Entry;
use crate::sync::primitive::lock;
use crate::user_value::drop_detached;
pub(crate) use introspection::{Names, names_of, qualname};
use introspection::{Renamed, RustFrame};

/// The first step of a coroutine.
pub(super) trait Start: Send {
    fn start(self: Box<Self>, entry: &Entry<'_>) -> PyResult<Stepped>;

    /// Objects to which it has two references: one in the Rust future, which the collector cannot see, and this one.
    fn arguments(&self) -> &[Py<PyAny>];
}

/// The first and last step of a coroutine that has its value.
struct Ready(Py<PyAny>);

impl Start for Ready {
    fn start(self: Box<Self>, _: &Entry<'_>) -> PyResult<Stepped> {
        Ok(Stepped::Return(self.0))
    }

    fn arguments(&self) -> &[Py<PyAny>] {
        &[]
    }
}

/// A coroutine that returns `value` in its first step, as [`std::future::ready`] does in Rust.
///
/// It has no future and meets no runtime, so it costs less than a coroutine of a future that is ready. Use it in a function that
/// does its work in the call, and waits only at times:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use pyo3::prelude::*;
/// use pyo3_asyncio::{ready, tokio::into_coroutine};
/// use tokio::sync::Notify;
///
/// #[pyclass(frozen)]
/// struct Places {
///     taken: AtomicUsize,
///     one_left: Arc<Notify>,
/// }
///
/// #[pymethods]
/// impl Places {
///     /// Waits for one of sixteen places.
///     fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
///         if self.taken.fetch_add(1, Ordering::Relaxed) < 16 {
///             return ready(py, ());
///         }
///         let one_left = Arc::clone(&self.one_left);
///         into_coroutine(py, async move { Ok(one_left.notified().await) })
///     }
/// }
/// # Python::initialize();
/// # Python::attach(|py| {
/// #     let places = Places { taken: AtomicUsize::new(0), one_left: Arc::default() };
/// #     let taken = Bound::new(py, places)?.call_method0("take")?;
/// #     py.import("asyncio")?.call_method1("run", (taken,)).map(drop)
/// # }).unwrap();
/// ```
///
/// No event loop is needed. May be called on any thread that is attached. A coroutine that is never awaited gives Python's warning,
/// and drops its value. Python's garbage collector does not see the value.
///
/// # Errors
///
/// That of the conversion of `value` to Python.
#[track_caller]
pub fn ready<'py, T>(py: Python<'py>, value: T) -> PyResult<Bound<'py, PyAny>>
where
    T: IntoPyObject<'py>,
{
    let start = Box::new(Ready(value.into_py_any(py)?));
    let coroutine = RustCoroutine::new(py, || ("ready", None), Location::caller(), start)?;
    Ok(coroutine.into_any())
}

/// A Rust future as a coroutine. It starts when it is awaited.
#[pyclass(frozen, weakref, module = "pyo3_asyncio")]
pub(crate) struct RustCoroutine {
    inner: Mutex<CoroutineInner>,
    names: Names,
    made_at: &'static Location<'static>,
}

struct CoroutineInner {
    state: Phase,
    /// Names that Python has set.
    renamed: Option<Box<Renamed>>,
}

enum Phase {
    Created(Box<dyn Start>),
    Running,
    Suspended(Py<RustFuture>),
    Finished,
}

impl Phase {
    /// Errors if a step is running or the coroutine is finished.
    fn can_step(&self) -> PyResult<()> {
        match self {
            Self::Running => Err(already_executing()),
            Self::Finished => Err(PyRuntimeError::new_err(
                "cannot reuse already awaited coroutine",
            )),
            Self::Created(_) | Self::Suspended(_) => Ok(()),
        }
    }
}

/// The result of a step.
pub(super) enum Stepped {
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
        let inner = CoroutineInner {
            state: Phase::Created(start),
            renamed: None,
        };
        let inner = Mutex::new(inner);
        let coroutine = Self {
            inner,
            names,
            made_at,
        };
        Bound::new(py, coroutine)
    }

    fn inner(&self) -> MutexGuard<'_, CoroutineInner> {
        lock(&self.inner)
    }

    /// Takes the state for a step. Errors if a step is running or the coroutine is finished.
    fn begin(&self) -> PyResult<(Phase, RunningStep<'_>)> {
        let mut inner = self.inner();
        inner.state.can_step()?;
        let state = std::mem::replace(&mut inner.state, Phase::Running);
        Ok((state, RunningStep(self)))
    }

    fn step(&self, py: Python<'_>) -> PyResult<Stepped> {
        let (state, running) = self.begin()?;
        let step = match state {
            Phase::Created(start) => Entry::new(py).and_then(|entry| start.start(&entry)),
            Phase::Suspended(future) => wait(py, future),
            Phase::Running | Phase::Finished => {
                unreachable!("`begin` refuses these")
            }
        };
        running.end(py, step)
    }

    /// Finishes the coroutine and returns its last state. Errors if a step is running.
    fn finish(&self) -> PyResult<Phase> {
        let mut inner = self.inner();
        match inner.state {
            Phase::Running => Err(already_executing()),
            _ => Ok(std::mem::replace(&mut inner.state, Phase::Finished)),
        }
    }

    fn warn_never_awaited(&self, py: Python<'_>) -> PyResult<()> {
        let (file, line, name) = self.origin(py);
        let message = format!(
            "coroutine '{}' was never awaited\nCoroutine created at (most recent call last)\n  File \"{file}\", line {line}, in {name}",
            self.get_qualname(py),
        );
        let category = py.get_type::<PyRuntimeWarning>();
        PyErr::warn(py, &category, &CString::new(message)?, 1)
    }

    fn finalize(&self, py: Python<'_>) {
        if matches!(self.inner().state, Phase::Created(_)) {
            if let Err(error) = self.warn_never_awaited(py) {
                error.write_unraisable(py, None);
            }
        }
        match self.finish() {
            Ok(Phase::Created(start)) => drop_detached(py, start),
            Ok(Phase::Suspended(future)) => future.get().state.cancel_by_post(),
            // It cannot be running, because a step refers to the object.
            _ => {}
        }
    }
}

/// A running step. If it panics, dropping this finishes the coroutine.
struct RunningStep<'a>(&'a RustCoroutine);

impl RunningStep<'_> {
    /// Stores the state after the step.
    fn end(self, py: Python<'_>, step: PyResult<Stepped>) -> PyResult<Stepped> {
        if let Ok(Stepped::Yield(future)) = &step {
            self.0.inner().state = Phase::Suspended(future.clone_ref(py));
        }
        step
    }
}

impl Drop for RunningStep<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        if matches!(inner.state, Phase::Running) {
            inner.state = Phase::Finished;
        }
    }
}

/// Yields the future while it is pending, and returns its outcome after that.
pub(super) fn wait(py: Python<'_>, future: Py<RustFuture>) -> PyResult<Stepped> {
    match future.get().yields() {
        Ok(true) => Ok(Stepped::Yield(future)),
        Ok(false) => future.get().outcome(py).map(Stepped::Return),
        Err(error) => {
            future.get().drop_rust_future(py)?;
            Err(error)
        }
    }
}

/// Shows the garbage collector the Python objects that a Rust future owns: twice, because the future has a reference too. The
/// collector compares visits with the reference count.
pub(crate) fn traverse_arguments(
    arguments: &[Py<PyAny>],
    visit: &PyVisit<'_>,
) -> Result<(), PyTraverseError> {
    arguments.iter().try_for_each(|object| {
        visit.call(object)?;
        visit.call(object)
    })
}

fn already_executing() -> PyErr {
    PyValueError::new_err("coroutine already executing")
}

#[pymethods]
impl RustCoroutine {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<RustCoroutineWrapper> {
        if slf.get().is(|state| matches!(state, Phase::Suspended(_))) {
            return Err(PyRuntimeError::new_err(
                "coroutine is being awaited already",
            ));
        }
        Ok(RustCoroutineWrapper(slf.unbind()))
    }

    /// The next step of the task. Tasks call this slot of the type, because they would have to look up `send` each time.
    pub(super) fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.step(py)? {
            Stepped::Yield(future) => Ok(Some(future.into_any())),
            // The slot returns None without an exception.
            Stepped::Return(value) if value.is_none(py) => Ok(None),
            Stepped::Return(value) => Err(returned(py, value)),
        }
    }

    /// Runs the coroutine to its next wait.
    pub(super) fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if !value.is_none() && matches!(self.inner().state, Phase::Created(_)) {
            return Err(PyTypeError::new_err(
                "can't send non-None value to a just-started coroutine",
            ));
        }
        match self.step(py)? {
            Stepped::Yield(future) => Ok(future.into_any()),
            Stepped::Return(value) => Err(returned(py, value)),
        }
    }

    /// Raises an exception where the coroutine waits, and drops the Rust future.
    #[pyo3(signature = (*args), text_signature = "($self, type, value=None, traceback=None, /)")]
    pub(super) fn throw(&self, args: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let py = args.py();
        check_throw(args)?;
        let error = match thrown(args) {
            Ok(error) => error,
            // In an `async def`, the awaited future refuses an invalid exception, and that error is raised in the coroutine.
            Err(refused) if self.is(|state| matches!(state, Phase::Suspended(_))) => refused,
            Err(refused) => {
                // Since Python 3.15, a finished coroutine does not look at the exception.
                if py.version_info() >= (3, 15) {
                    self.inner().state.can_step()?;
                }
                return Err(refused);
            }
        };
        let (state, running) = self.begin()?;
        let step = match state {
            Phase::Suspended(future) => match future.get().hand_over(py, &error) {
                Ok(true) => wait(py, future),
                Ok(false) => future.get().drop_rust_future(py).and(Err(error)),
                Err(failed) => future.get().drop_rust_future(py).and(Err(failed)),
            },
            Phase::Created(start) => {
                drop_detached(py, start);
                Err(can_be_raised(py, error))
            }
            Phase::Running | Phase::Finished => {
                unreachable!("`begin` refuses these")
            }
        };
        match running.end(py, step)? {
            Stepped::Yield(future) => Ok(future.into_any()),
            Stepped::Return(value) => Err(returned(py, value)),
        }
    }

    /// Finishes the coroutine and drops the Rust future.
    pub(super) fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.finish()? {
            Phase::Created(start) => drop_detached(py, start),
            Phase::Suspended(future) => future.get().drop_rust_future(py)?,
            Phase::Running | Phase::Finished => {}
        }
        Ok(())
    }

    /// Claims to be a `types.CoroutineType` for `isinstance`, so that `inspect.iscoroutine` returns True.
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

    /// Whether a step of the coroutine is running.
    #[getter]
    fn cr_running(&self) -> bool {
        self.is(|state| matches!(state, Phase::Running))
    }

    /// Whether the coroutine waits for something.
    #[getter]
    fn cr_suspended(&self) -> bool {
        self.is(|state| matches!(state, Phase::Suspended(_)))
    }

    /// The result of `inspect.getcoroutinestate`, which asks for this since Python 3.15.
    #[getter]
    fn cr_state(&self) -> &'static str {
        self.state_name()
    }

    /// The future that the coroutine awaits.
    #[getter]
    fn cr_await(&self, py: Python<'_>) -> Option<Py<RustFuture>> {
        self.awaited(py)
    }

    /// An empty code object with the coroutine's name and its place in the Rust source.
    #[getter]
    fn cr_code<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.code(py)
    }

    /// The attributes of a frame that `inspect` and asyncio read. None once the coroutine is finished.
    #[getter]
    fn cr_frame(slf: &Bound<'_, Self>) -> PyResult<Option<RustFrame>> {
        Self::frame(slf)
    }

    /// Where in Rust the coroutine was made. An `async def` gives the Python stack, and only in debug mode.
    #[getter]
    fn cr_origin(&self, py: Python<'_>) -> ((&'static str, u32, Py<PyString>),) {
        (self.origin(py),)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        slf.get().describe(slf.py(), slf.as_ptr() as usize)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.inner().state {
            Phase::Created(start) => traverse_arguments(start.arguments(), &visit),
            Phase::Suspended(future) => visit.call(future),
            _ => Ok(()),
        }
    }

    fn __clear__(&self, py: Python<'_>) {
        self.finalize(py);
    }
}

impl Drop for RustCoroutine {
    fn drop(&mut self) {
        if matches!(self.inner().state, Phase::Finished) {
            return;
        }
        asyncio::in_deallocation(|py| self.finalize(py));
    }
}

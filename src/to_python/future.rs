//! The `asyncio.Future` of a Rust future.
//!
//! It follows `Modules/_asynciomodule.c` and `Lib/asyncio/futures.py`. It also has the private attributes that asyncio reads in
//! `gather`, `Task` and `_future_repr_info`.

use std::sync::Arc;

use pyo3::exceptions::{
    PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError, PyValueError,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};

use super::awaiting::RustFutureIterator;
use super::callbacks::Callback;
use super::state::{Awaiting, FutureState, Outcome, Waiting};
use crate::asyncio;
use crate::sync::cancel_slot::CancelSlot;

/// A Rust future that Python awaits. Does what asyncio.Future does.
#[pyclass(frozen, weakref, module = "pyo3_asyncio")]
pub(crate) struct RustFuture {
    pub(super) state: Arc<FutureState>,
    pub(super) event_loop: Py<PyAny>,
    /// Takes the cancellations of a Rust future that has a `CancelHandle`.
    cancel_slot: Option<Arc<CancelSlot<PyErr>>>,
}

impl RustFuture {
    pub(super) fn new(
        state: Arc<FutureState>,
        event_loop: &Bound<'_, PyAny>,
        cancel_slot: Option<Arc<CancelSlot<PyErr>>>,
    ) -> Self {
        Self {
            state,
            event_loop: event_loop.clone().unbind(),
            cancel_slot,
        }
    }

    /// Whether `await` yields the future to the task next. It does while there is no outcome.
    ///
    /// Errors if the future was already yielded, and the task has not waited for it.
    pub(super) fn yields(&self) -> PyResult<bool> {
        let mut state = self.state.state();
        if !matches!(state.outcome, Outcome::Pending(_)) {
            return Ok(false);
        }
        match std::mem::replace(&mut state.awaiting, Awaiting::Yielded) {
            Awaiting::Yielded => Err(PyRuntimeError::new_err("await wasn't used with future")),
            Awaiting::No | Awaiting::Taken => Ok(true),
        }
    }

    /// Hands an error that is thrown into the coroutine which awaits this to the Rust future. The task then waits no longer, so this
    /// may be yielded again. False if the error is no cancellation, or the Rust future takes none.
    pub(super) fn hand_over(&self, py: Python<'_>, error: &PyErr) -> PyResult<bool> {
        let Some(slot) = self.cancel_slot.as_ref().filter(|_| !self.done()) else {
            return Ok(false);
        };
        let is_handed = asyncio::is_cancelled_error(py, error)? && slot.hand(error.clone_ref(py));
        if is_handed {
            self.state.state().awaiting = Awaiting::No;
        }
        Ok(is_handed)
    }

    /// Drops the Rust future unless it is done. Its coroutine has ended.
    pub(super) fn drop_rust_future(&self, py: Python<'_>) -> PyResult<()> {
        self.state.set_from_python(py, Outcome::CANCELLED).map(drop)
    }

    /// The value, or the error that `await` raises. Marks an error as retrieved.
    pub(super) fn outcome(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (error, traceback) = {
            let mut state = self.state.state();
            state.unretrieved = false;
            match &state.outcome {
                Outcome::Value(value) => return Ok(value.clone_ref(py)),
                Outcome::Error { error, traceback } => {
                    let traceback = traceback.as_ref().map(|it| it.clone_ref(py));
                    (Some(error.clone_ref(py)), traceback)
                }
                Outcome::Cancelled { .. } | Outcome::Pending(_) => (None, None),
            }
        };
        let Some(error) = error else {
            return Err(self.without_outcome(py, "Result is not set."));
        };
        let error = error.into_bound(py);
        asyncio::set_traceback(&error, traceback.as_ref().map(|it| it.bind(py)))?;
        Err(PyErr::from_value(error))
    }

    /// The error of asking a future that is cancelled, or pending.
    fn without_outcome(&self, py: Python<'_>, pending: &str) -> PyErr {
        if !self.cancelled() {
            return asyncio::invalid_state(py, pending);
        }
        let cancelled = self.cancelled_error(py);
        cancelled.map_or_else(|error| error, PyErr::from_value)
    }

    fn cancelled_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (message, error) = match &mut self.state.state().outcome {
            Outcome::Cancelled { message, error } => {
                (message.as_ref().map(|it| it.clone_ref(py)), error.take())
            }
            _ => (None, None),
        };
        match error {
            Some(error) => Ok(error.into_bound(py)),
            None => asyncio::cancelled_error(py, message.as_ref().map(|it| it.bind(py))),
        }
    }

    fn callback_functions(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        match &self.state.state().outcome {
            Outcome::Pending(waiting) => {
                let callbacks = waiting.callbacks.iter();
                callbacks.map(|it| it.function.clone_ref(py)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Errors if there is an outcome.
    fn set(&self, py: Python<'_>, outcome: Outcome) -> PyResult<()> {
        match self.state.set_from_python(py, outcome)? {
            true => Ok(()),
            false => Err(self.invalid_state(py)),
        }
    }

    fn invalid_state(&self, py: Python<'_>) -> PyErr {
        let state = self.state.state().outcome.name();
        asyncio::invalid_state(py, format!("invalid state: the future is {state}"))
    }
}

#[pymethods]
impl RustFuture {
    /// Whether the future has a result, has an exception, or is cancelled.
    fn done(&self) -> bool {
        self.state.is_done()
    }

    /// Whether the future was cancelled.
    fn cancelled(&self) -> bool {
        matches!(self.state.state().outcome, Outcome::Cancelled { .. })
    }

    /// The result. Raises the future's exception, CancelledError, or InvalidStateError if the future is not done.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.outcome(py)
    }

    /// The exception, or None. Raises CancelledError, or InvalidStateError if the future is not done.
    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        {
            let mut state = self.state.state();
            state.unretrieved = false;
            match &state.outcome {
                Outcome::Value(_) => return Ok(None),
                Outcome::Error { error, .. } => return Ok(Some(error.clone_ref(py))),
                Outcome::Cancelled { .. } | Outcome::Pending(_) => {}
            }
        }
        Err(self.without_outcome(py, "Exception is not set."))
    }

    /// Cancels the future and drops its Rust future, or asks that to end. Returns False if the future is already done.
    #[pyo3(signature = (msg=None))]
    fn cancel(&self, py: Python<'_>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        if let Some(slot) = self.cancel_slot.as_ref().filter(|_| !self.done()) {
            let error = asyncio::cancelled_error(py, msg.as_ref().map(|it| it.bind(py)))?;
            if slot.hand(PyErr::from_value(error)) {
                return Ok(true);
            }
        }
        self.state.state().unretrieved = false;
        self.state.set_from_python(
            py,
            Outcome::Cancelled {
                message: msg,
                error: None,
            },
        )
    }

    /// Calls fn(future) once the future is done, in the given context or in a copy of the current one.
    #[pyo3(signature = (r#fn, *, context=None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        r#fn: Bound<'_, PyAny>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let context = match context {
            Some(context) => context,
            None => asyncio::copy_context(slf.py())?,
        };
        slf.get().state.add_callback(slf, r#fn, context)
    }

    /// Removes every registration of the callback and returns how many there were.
    fn remove_done_callback(&self, r#fn: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = r#fn.py();
        // Comparing runs Python code, which may do anything with this future, such as settle it. So the callbacks stay
        // registered until all comparisons are done.
        let mut equal = Vec::new();
        for function in self.callback_functions(py) {
            if function.bind(py).eq(r#fn)? {
                equal.push(function);
            }
        }
        let matches = |it: &Callback| equal.iter().any(|function| function.is(&it.function));
        let removed = match &mut self.state.state().outcome {
            Outcome::Pending(Waiting { callbacks, .. }) => {
                let (removed, kept) = std::mem::take(callbacks).into_iter().partition(matches);
                *callbacks = kept;
                removed
            }
            _ => Vec::new(),
        };
        Ok(removed.len())
    }

    /// Sets the result and drops the Rust future.
    fn set_result(&self, py: Python<'_>, result: Py<PyAny>) -> PyResult<()> {
        self.set(py, Outcome::Value(result))
    }

    /// Sets the exception and drops the Rust future.
    fn set_exception(&self, exception: Bound<'_, PyAny>) -> PyResult<()> {
        let py = exception.py();
        if self.state.is_done() {
            return Err(self.invalid_state(py));
        }
        let exception = if exception.is_instance_of::<PyType>() {
            exception.call0()?
        } else {
            exception
        };
        if !exception.is_instance_of::<PyBaseException>() {
            return Err(PyTypeError::new_err("invalid exception object"));
        }
        let exception = replace_stop_iteration(exception)?;
        self.set(py, Outcome::error(&exception)?)
    }

    /// The event loop that the future belongs to.
    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    fn __await__(slf: Bound<'_, Self>) -> RustFutureIterator {
        RustFutureIterator::new(slf.unbind())
    }

    fn __iter__(slf: Bound<'_, Self>) -> RustFutureIterator {
        Self::__await__(slf)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let mut info = asyncio::future_repr_info(slf.as_any())?;
        let future = slf.get();
        // In debug mode, asyncio says where in Python it was made.
        if future.state.state().source_traceback.is_none() {
            let made_at = future.state.made_at;
            let (file, line) = (made_at.file(), made_at.line());
            info.push(format!("created at {file}:{line}"));
        }
        Ok(format!("<RustFuture {}>", info.join(" ")))
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        asyncio::generic_alias(cls, item)
    }

    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        self.state.state().awaiting == Awaiting::Yielded
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        let mut state = self.state.state();
        state.awaiting = match (blocking, state.awaiting) {
            (true, _) => Awaiting::Yielded,
            (false, Awaiting::Yielded) => Awaiting::Taken,
            (false, _) => Awaiting::No,
        };
    }

    fn _make_cancelled_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.cancelled_error(py)
    }

    #[getter]
    fn _state(&self) -> &'static str {
        self.state.state().outcome.name()
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.get_loop(py)
    }

    #[getter]
    fn _callbacks<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let callbacks: Vec<_> = {
            let state = self.state.state();
            let callbacks = match &state.outcome {
                Outcome::Pending(waiting) => &waiting.callbacks[..],
                _ => &[],
            };
            callbacks
                .iter()
                .map(|it| (it.function.clone_ref(py), it.context.clone_ref(py)))
                .collect()
        };
        if callbacks.is_empty() {
            return Ok(None);
        }
        PyList::new(py, callbacks).map(Some)
    }

    #[getter]
    fn _result(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.state.state().outcome {
            Outcome::Value(value) => Some(value.clone_ref(py)),
            _ => None,
        }
    }

    #[getter]
    fn _exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.state.state().outcome {
            Outcome::Error { error, .. } => Some(error.clone_ref(py)),
            _ => None,
        }
    }

    #[getter]
    fn _cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.state.state().outcome {
            Outcome::Cancelled { message, .. } => message.as_ref().map(|it| it.clone_ref(py)),
            _ => None,
        }
    }

    #[setter(_cancel_message)]
    fn set_cancel_message(&self, value: Option<Py<PyAny>>) {
        let previous = match &mut self.state.state().outcome {
            Outcome::Cancelled { message, .. } => std::mem::replace(message, value),
            _ => value,
        };
        drop(previous);
    }

    #[getter]
    fn _source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let state = self.state.state();
        state.source_traceback.as_ref().map(|it| it.clone_ref(py))
    }

    #[getter]
    fn _log_traceback(&self) -> bool {
        self.state.state().unretrieved
    }

    #[setter(_log_traceback)]
    fn set_log_traceback(&self, value: bool) -> PyResult<()> {
        if value {
            return Err(PyValueError::new_err(
                "_log_traceback can only be set to False",
            ));
        }
        self.state.state().unretrieved = false;
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        self.state.traverse_owned(&visit)
    }

    fn __clear__(&self) {
        self.state.clear();
    }

    fn _finalize(slf: &Bound<'_, Self>) {
        slf.get().state.report_unretrieved(slf);
    }

    /// The garbage collector calls all finalizers before it clears any object (PEP 442). Later, the loop may be cleared and its
    /// exception handler cannot be called. PyO3 has no `__del__`, but this attribute fills the slot as in a class statement.
    #[classattr]
    #[pyo3(name = "__del__")]
    fn finalizer(py: Python<'_>) -> PyResult<Py<PyAny>> {
        py.get_type::<Self>()
            .getattr("_finalize")
            .map(Bound::unbind)
    }
}

impl Drop for RustFuture {
    fn drop(&mut self) {
        asyncio::in_deallocation(|py| self.state.object_dropped(self.event_loop.bind(py)));
    }
}

/// Replaces a `StopIteration`, which would end the awaiting generator. Python wraps it since 3.12.6, and refused it before
/// (gh-112182).
fn replace_stop_iteration(exception: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    const MESSAGE: &str =
        "StopIteration interacts badly with generators and cannot be raised into a Future";
    let py = exception.py();
    if !exception.is_instance_of::<PyStopIteration>() {
        return Ok(exception);
    }
    if py.version_info() < (3, 12, 6) {
        return Err(PyTypeError::new_err(MESSAGE));
    }
    let replacement = PyRuntimeError::new_err(MESSAGE);
    replacement.set_cause(py, Some(PyErr::from_value(exception)));
    Ok(replacement.into_value(py).into_bound(py).into_any())
}

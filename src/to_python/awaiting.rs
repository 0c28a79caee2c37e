//! What `await` makes of a Rust future: the iterator behind it, and the rules of `send` and `throw` that a coroutine shares.

use std::sync::Mutex;

use pyo3::exceptions::{PyBaseException, PyDeprecationWarning, PyStopIteration, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTraceback, PyTuple, PyType};

use super::future::RustFuture;
use crate::asyncio;
use crate::sync::primitive::lock;

/// The iterator behind `await`: yields the future to its task once, then returns its outcome.
#[pyclass(frozen, module = "pyo3_asyncio", name = "RustFutureIterator")]
pub(super) struct Awaiting(Mutex<Option<Py<RustFuture>>>);

impl Awaiting {
    pub(super) fn new(future: Py<RustFuture>) -> Self {
        Self(Mutex::new(Some(future)))
    }

    fn future(&self, py: Python<'_>) -> Option<Py<RustFuture>> {
        let future = lock(&self.0);
        future.as_ref().map(|it| it.clone_ref(py))
    }

    fn forget(&self) -> Option<Py<RustFuture>> {
        lock(&self.0).take()
    }
}

#[pymethods]
impl Awaiting {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(future) = self.future(py) else {
            return Err(PyStopIteration::new_err(()));
        };
        if future.get().yields()? {
            return Ok(future.into_any());
        }
        drop(self.forget());
        Err(returned(py, future.get().outcome(py)?))
    }

    fn send(&self, py: Python<'_>, _value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
    }

    #[pyo3(signature = (*args), text_signature = "($self, type, value=None, traceback=None, /)")]
    fn throw(&self, args: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        check_throw(args)?;
        let error = thrown(args)?;
        drop(self.forget());
        Err(error)
    }

    fn close(&self) {
        drop(self.forget());
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let future = lock(&self.0);
        visit.call(&*future)
    }

    fn __clear__(&self) {
        drop(self.forget());
    }
}

/// How a generator says that it returned the value.
pub(super) fn returned(py: Python<'_>, value: Py<PyAny>) -> PyErr {
    if value.is_none(py) {
        return PyStopIteration::new_err(());
    }
    // PyO3 would make it later, and normalize it then, at a higher price.
    let end = py.get_type::<PyStopIteration>().call1((value,));
    end.map_or_else(|error| error, PyErr::from_value)
}

/// What `throw` looks at first: how many arguments there are. It warns of more than one since Python 3.12.
pub(super) fn check_throw(args: &Bound<'_, PyTuple>) -> PyResult<()> {
    let py = args.py();
    let (bound, count) = match args.len() {
        0 => ("at least 1 argument", 0),
        1 => return Ok(()),
        2 | 3 if py.version_info() < (3, 12) => return Ok(()),
        2 | 3 => {
            let category = py.get_type::<PyDeprecationWarning>();
            let message = c"the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.";
            return PyErr::warn(py, &category, message, 1);
        }
        count => ("at most 3 arguments", count),
    };
    Err(PyTypeError::new_err(format!(
        "throw expected {bound}, got {count}"
    )))
}

/// The error that `throw(type, value, traceback)` raises, by the rules of a generator's `throw`.
///
/// Errors if it raises none. An error of the exception's own constructor is raised in its place.
pub(super) fn thrown(args: &Bound<'_, PyTuple>) -> PyResult<PyErr> {
    let given = |index| args.get_item(index).ok().filter(|it| !it.is_none());
    let (kind, value, traceback) = (args.get_item(0)?, given(1), given(2));
    if let Some(traceback) = &traceback {
        if !traceback.is_instance_of::<PyTraceback>() {
            return Err(PyTypeError::new_err(
                "throw() third argument must be a traceback object",
            ));
        }
    }
    let error = match kind.cast::<PyType>() {
        Ok(class) if class.is_subclass_of::<PyBaseException>()? => match instance(class, value) {
            Ok(error) => error,
            Err(error) => return Ok(error),
        },
        _ if !kind.is_instance_of::<PyBaseException>() => {
            return Err(PyTypeError::new_err(format!(
                "exceptions must be classes or instances deriving from BaseException, not {}",
                kind.get_type().name()?
            )));
        }
        _ if value.is_some() => {
            return Err(PyTypeError::new_err(
                "instance exception may not have a separate value",
            ));
        }
        _ => kind,
    };
    if traceback.is_some() {
        asyncio::set_traceback(&error, traceback.as_ref())?;
    }
    Ok(PyErr::from_value(error))
}

/// An exception of the class: the value itself, or one made of it.
fn instance<'py>(
    class: &Bound<'py, PyType>,
    value: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match value {
        None => class.call0(),
        Some(value) if value.is_instance(class)? => Ok(value),
        Some(value) => match value.cast_into::<PyTuple>() {
            Ok(arguments) => class.call1(arguments),
            Err(other) => class.call1((other.into_inner(),)),
        },
    }
}

//! What `await` makes of a Rust future: the iterator behind it, and the rules of `send` and `throw` that a coroutine shares.

use std::sync::Mutex;

use pyo3::exceptions::{PyBaseException, PyDeprecationWarning, PyStopIteration, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::future::RustFuture;
use crate::asyncio;
use crate::primitive::lock_std;

/// The iterator behind `await`: yields the future to its task once, then returns its outcome.
#[pyclass(frozen, module = "pyo3_asyncio", name = "RustFutureIterator")]
pub(super) struct Awaiting(Mutex<Option<Py<RustFuture>>>);

impl Awaiting {
    pub(super) fn new(future: Py<RustFuture>) -> Self {
        Self(Mutex::new(Some(future)))
    }

    fn future(&self, py: Python<'_>) -> Option<Py<RustFuture>> {
        let future = lock_std(&self.0);
        future.as_ref().map(|it| it.clone_ref(py))
    }

    fn forget(&self) -> Option<Py<RustFuture>> {
        lock_std(&self.0).take()
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
        let value = future.get().outcome(py)?;
        Err(PyStopIteration::new_err((value,)))
    }

    fn send(&self, py: Python<'_>, _value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
    }

    #[pyo3(signature = (r#type, value=None, traceback=None))]
    fn throw(
        &self,
        r#type: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let error = thrown(r#type, value, traceback)?;
        drop(self.forget());
        Err(error)
    }

    fn close(&self) {
        drop(self.forget());
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let future = lock_std(&self.0);
        visit.call(&*future)
    }

    fn __clear__(&self) {
        drop(self.forget());
    }
}

/// As a coroutine's `throw` does since Python 3.12.
fn warn_of_old_throw(py: Python<'_>) -> PyResult<()> {
    if py.version_info() < (3, 12) {
        return Ok(());
    }
    let category = py.get_type::<PyDeprecationWarning>();
    let message =
        c"the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.";
    PyErr::warn(py, &category, message, 1)
}

/// The error that `throw(type, value, traceback)` raises, by the rules of a generator's `throw`.
pub(super) fn thrown(
    kind: Bound<'_, PyAny>,
    value: Option<Bound<'_, PyAny>>,
    traceback: Option<Bound<'_, PyAny>>,
) -> PyResult<PyErr> {
    if value.is_some() || traceback.is_some() {
        warn_of_old_throw(kind.py())?;
    }
    let error = match kind.cast::<PyType>() {
        Ok(class) if class.is_subclass_of::<PyBaseException>()? => match value {
            Some(value) if value.is_instance(&kind)? => value,
            Some(value) if value.is_instance_of::<PyTuple>() => {
                kind.call1(value.cast_into::<PyTuple>()?)?
            }
            Some(value) => kind.call1((value,))?,
            None => kind.call0()?,
        },
        _ if kind.is_instance_of::<PyBaseException>() => {
            if value.is_some() {
                return Err(PyTypeError::new_err(
                    "instance exception may not have a separate value",
                ));
            }
            kind
        }
        _ => {
            return Err(PyTypeError::new_err(format!(
                "exceptions must be classes deriving BaseException or instances of such a class, not {}",
                kind.get_type().name()?
            )));
        }
    };
    if let Some(traceback) = traceback {
        if !traceback.is_instance_of::<pyo3::types::PyTraceback>() {
            return Err(PyTypeError::new_err(
                "throw() third argument must be a traceback",
            ));
        }
        asyncio::set_traceback(&error, Some(&traceback))?;
    }
    Ok(PyErr::from_value(error))
}

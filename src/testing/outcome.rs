//! What a test came to, and how that is told.

#![allow(missing_docs, reason = "not public API: what the attributes expand to")]

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::thread;

use pyo3::create_exception;
use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;

use crate::asyncio;
use crate::error::panic_text;

create_exception!(
    pyo3_asyncio,
    TestFailed,
    PyAssertionError,
    "A test failed with an error that is not one of Python's."
);

/// What a test may return.
#[diagnostic::on_unimplemented(
    message = "a test cannot return `{Self}`",
    label = "returned by a test",
    note = "a test returns nothing, or a `Result<(), E>` of an `E` that implements `Debug`, such as `PyResult<()>`"
)]
pub trait Outcome {
    fn into_result(self) -> PyResult<()>;
}

impl Outcome for () {
    fn into_result(self) -> PyResult<()> {
        Ok(())
    }
}

impl<E: fmt::Debug + 'static> Outcome for Result<(), E> {
    fn into_result(self) -> PyResult<()> {
        self.map_err(|error| {
            let mut error = Some(error);
            let any: &mut dyn Any = &mut error;
            if let Some(error) = any.downcast_mut::<Option<PyErr>>().and_then(Option::take) {
                return error;
            }
            if let Some(boxed) = any
                .downcast_mut::<Option<Box<dyn Error>>>()
                .and_then(Option::take)
            {
                return match boxed.downcast::<PyErr>() {
                    Ok(error) => *error,
                    Err(other) => TestFailed::new_err(format!("Error: {other:?}")),
                };
            }
            TestFailed::new_err(format!("Error: {:?}", error.expect("nothing has taken it")))
        })
    }
}

/// Why a test failed, in words. Cargo's harness prints the `Debug` form of a test's error.
pub struct Failure(String);

impl Failure {
    /// The traceback of an error of Python's.
    pub(super) fn of_error(error: &PyErr) -> Self {
        Self(Python::attach(|py| {
            if error.is_instance_of::<TestFailed>(py) {
                return error.value(py).to_string();
            }
            let traceback = asyncio::format_exception(py, error);
            traceback.map_or_else(|_| error.to_string(), |text| text.trim_end().to_owned())
        }))
    }

    pub(super) fn of_panic(payload: &(dyn Any + Send)) -> Self {
        Self(format!("test panicked: {}", panic_text(payload)))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `#[should_panic]` makes of a test's end. `expected` has to be a part of the panic's text.
pub(super) fn of_panicking(
    ended: thread::Result<PyResult<()>>,
    expected: Option<&str>,
) -> PyResult<()> {
    let payload = match ended {
        Ok(Ok(())) => {
            return Err(TestFailed::new_err(
                "the test did not panic, as it should have",
            ));
        }
        Ok(Err(error)) => return Err(error),
        Err(payload) => payload,
    };
    let text = panic_text(&*payload);
    match expected {
        Some(expected) if !text.contains(expected) => Err(TestFailed::new_err(format!(
            "the test panicked with another text than it should have\n    panicked: {text:?}\n    expected: {expected:?}"
        ))),
        _ => Ok(()),
    }
}

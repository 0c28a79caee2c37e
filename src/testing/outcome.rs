//! The output of a test, and the text of a failure.

#![allow(missing_docs, reason = "not public API: what the attributes expand to")]
#![expect(
    clippy::disallowed_methods,
    reason = "the threads are those of the tests"
)]

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::thread;

use pyo3::create_exception;
use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;

use crate::asyncio;
use crate::panic::panic_text;

create_exception!(
    pyo3_asyncio,
    TestFailed,
    PyAssertionError,
    "A test failed with an error that is not a Python exception."
);

/// The type that a test returns.
#[diagnostic::on_unimplemented(
    message = "a test cannot return `{Self}`",
    label = "returned by a test",
    note = "a test returns nothing, or a `Result<(), E>` of an `E` that implements `Debug`, such as `PyResult<()>`"
)]
pub trait TestOutput {
    fn into_result(self) -> PyResult<()>;
}

impl TestOutput for () {
    fn into_result(self) -> PyResult<()> {
        Ok(())
    }
}

impl<E: fmt::Debug + 'static> TestOutput for Result<(), E> {
    fn into_result(self) -> PyResult<()> {
        self.map_err(|error| {
            let mut error = Some(error);
            if let Some(error) = take::<_, PyErr>(&mut error) {
                return error;
            }
            let boxed = take::<_, Box<dyn Error>>(&mut error);
            let boxed =
                boxed.or_else(|| Some(take::<_, Box<dyn Error + Send + Sync>>(&mut error)?));
            match boxed.map(|error| error.downcast::<PyErr>()) {
                Some(Ok(error)) => *error,
                Some(Err(other)) => TestFailed::new_err(format!("{other:?}")),
                None => {
                    let error = error.expect("`take` found none of these types");
                    TestFailed::new_err(format!("{error:?}"))
                }
            }
        })
    }
}

/// The error, if it is a `T`.
fn take<E: 'static, T: 'static>(error: &mut Option<E>) -> Option<T> {
    let error: &mut dyn Any = error;
    error.downcast_mut::<Option<T>>()?.take()
}

/// The text of a test's failure. Cargo's harness prints its `Debug` form.
pub struct TestFailure(String);

impl TestFailure {
    /// The traceback of a Python exception, or the text of another error.
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

impl fmt::Debug for TestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The result of a test with `#[should_panic]`. The text of the panic must contain `expected`.
pub(super) fn expect_panic(
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

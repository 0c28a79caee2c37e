//! The outcome of a Python task, converted on the thread of its loop.
//!
//! 1. [`PyTask::and_then`] leaves the conversion with the task, and then tells the task's [`handoff`](crate::sync::handoff)
//!    that the outcome is to be converted.
//! 2. If the task is still running, the loop's thread converts the value when the task ends. If the value is there already, a job
//!    converts it. An error needs no conversion, and is passed on at once.
//! 3. A second handoff carries the converted value to the [`ConvertedPyTask`].
//! 4. If the loop closes before the conversion, dropping the conversion settles the [`ConvertedPyTask`] with `LoopClosed`.
//! 5. An error that the [`ConvertedPyTask`] does not take goes to the loop's exception handler.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use super::task::{PyTask, loop_closed, poll_outcome};
use crate::error::rust_panic;
use crate::panic::catch;
use crate::sync::handoff::{GivenUp, Handoff};
use crate::user_value::{UserValue, drop_detached};

/// A [`PyTask`] whose value is converted to a Rust value on the loop's thread, made by [`PyTask::and_then`] and
/// [`PyTask::extract`].
///
/// It otherwise behaves as the [`PyTask`]. Dropping it cancels the Python task.
#[must_use = "dropping this cancels the Python task"]
pub struct ConvertedPyTask<T> {
    task: PyTask,
    converted: Arc<Handoff<(), PyResult<UserValue<T>>>>,
}

impl<T> Unpin for ConvertedPyTask<T> {}

impl<T> fmt::Debug for ConvertedPyTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConvertedPyTask").finish_non_exhaustive()
    }
}

/// Converts an outcome on the loop's thread.
pub(super) trait Convert: Send {
    /// Returns an error that the Rust side does not want.
    #[must_use = "the error is not reported elsewhere"]
    fn convert(self: Box<Self>, py: Python<'_>, value: Py<PyAny>) -> Option<PyErr>;

    /// Passes on the error of the task, and returns it if the Rust side does not want it. Called attached or not.
    #[must_use = "the error is not reported elsewhere"]
    fn fail(self: Box<Self>, error: PyErr) -> Option<PyErr>;
}

struct Conversion<F, T> {
    /// Taken when the conversion is over.
    function: Option<UserValue<F>>,
    converted: Arc<Handoff<(), PyResult<UserValue<T>>>>,
}

/// The loop has closed, and dropped the job of the conversion.
impl<F, T> Drop for Conversion<F, T> {
    fn drop(&mut self) {
        if let Some(function) = self.function.take() {
            drop(function);
            drop(self.converted.finish(Err(loop_closed())));
        }
    }
}

impl<F, T> Convert for Conversion<F, T>
where
    F: FnOnce(Python<'_>, Bound<'_, PyAny>) -> PyResult<T> + Send,
    T: Send,
{
    fn convert(mut self: Box<Self>, py: Python<'_>, value: Py<PyAny>) -> Option<PyErr> {
        let function = self.function.take()?.into_inner();
        let value = value.into_bound(py);
        let result = catch(|| function(py, value));
        let result = result.unwrap_or_else(|panic| Err(rust_panic(py, panic)));
        let refused = self.converted.finish(result.map(UserValue::of_any_runtime));
        match refused? {
            Ok(value) => drop_detached(py, value),
            Err(error) => return Some(error),
        }
        None
    }

    fn fail(mut self: Box<Self>, error: PyErr) -> Option<PyErr> {
        drop(self.function.take());
        self.converted.finish(Err(error))?.err()
    }
}

impl PyTask {
    /// Converts the value on the loop's thread, which is attached anyway.
    ///
    /// The worker that polls the result gets a Rust value and never waits for the interpreter. The loop calls `function` attached,
    /// in the turn in which the task ends. A slow `function` delays the loop. If the task fails, `function` is not called.
    ///
    /// # Errors
    ///
    /// The errors of the task, the error that `function` returns, and [`RustPanic`](crate::err::RustPanic) if it panics.
    pub fn and_then<F, T>(mut self, function: F) -> ConvertedPyTask<T>
    where
        F: FnOnce(Python<'_>, Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
        T: Send + 'static,
    {
        let converted = Arc::new(Handoff::new());
        let conversion = Box::new(Conversion {
            function: Some(UserValue::of_any_runtime(function)),
            converted: Arc::clone(&converted),
        });
        self.convert(conversion);
        ConvertedPyTask {
            task: self,
            converted,
        }
    }

    /// Extracts the value on the loop's thread: [`and_then`](Self::and_then) with
    /// [`extract`](pyo3::types::PyAnyMethods::extract).
    ///
    /// # Errors
    ///
    /// The errors of the task, and the error of the extraction, such as a `TypeError`.
    pub fn extract<T>(self) -> ConvertedPyTask<T>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py> + Send + 'static,
    {
        self.and_then(|_, value| value.extract::<T>().map_err(Into::into))
    }
}

impl<T> Drop for ConvertedPyTask<T> {
    fn drop(&mut self) {
        let Some(mailbox) = self.task.mailbox() else {
            return;
        };
        if mailbox.is_inherited() {
            return;
        }
        if let GivenUp::Outcome(Err(error)) = self.converted.give_up() {
            self.task.report(error);
        }
    }
}

impl<T> Future for ConvertedPyTask<T> {
    type Output = PyResult<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyResult<T>> {
        match self.task.mailbox() {
            Some(mailbox) => poll_outcome(mailbox, &self.converted, cx),
            None => self.converted.poll(cx.waker()),
        }
        .map_ok(UserValue::into_inner)
    }
}

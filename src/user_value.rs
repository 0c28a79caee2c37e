//! How values of the user are dropped: futures, streams, closures, and outputs that nobody takes.
//!
//! A [`UserValue`] holds one such value. [`drop_in`] drops it, at the latest when the [`UserValue`] is dropped:
//!
//! - in the context of its runtime, because a connection may start a task when it goes back to its pool;
//! - as an [`Activity`], for which exit and fork wait;
//! - with no lock of ours held, and with its panic caught, which the panic hook reports.
//!
//! An attached thread calls [`drop_detached`], because a destructor may wait for a thread that needs the interpreter. A future that
//! is not `Send` is dropped as it is polled: attached, if an event loop polls it.

use pyo3::prelude::*;

use crate::panic::quietly;
use crate::runtime::{self, Runtime};
use crate::sync::activity::Activity;

/// A value of the user, which [`drop_in`] drops unless it is taken out.
pub(crate) struct UserValue<T>(Option<(T, fn(T))>);

impl<T> UserValue<T> {
    pub(crate) fn new<R: Runtime>(value: T) -> Self {
        Self(Some((value, |value| drop_in::<R>(|| drop(value)))))
    }

    /// A value that may belong to any runtime.
    pub(crate) fn of_any_runtime(value: T) -> Self {
        Self(Some((value, |value| {
            quietly_active(|| runtime::enter_any_to_drop(|| drop(value)));
        })))
    }

    /// Returns the value together with `result`. Drops it, detached, if that is an error.
    pub(crate) fn keep_if_ok<O>(self, py: Python<'_>, result: PyResult<O>) -> PyResult<(T, O)>
    where
        T: Send,
    {
        match result {
            Ok(other) => Ok((self.into_inner(), other)),
            Err(error) => {
                drop_detached(py, self);
                Err(error)
            }
        }
    }

    pub(crate) fn into_inner(mut self) -> T {
        let (value, _) = self.0.take().expect(NEVER_TAKEN);
        value
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        let (value, _) = self.0.as_mut().expect(NEVER_TAKEN);
        value
    }
}

const NEVER_TAKEN: &str = "only `into_inner` takes the value out, and it consumes `self`";

impl<T> Drop for UserValue<T> {
    fn drop(&mut self) {
        if let Some((value, drop_in)) = self.0.take() {
            drop_in(value);
        }
    }
}

/// Calls a function that drops a value of the user.
pub(crate) fn drop_in<R: Runtime>(drop: impl FnOnce()) {
    quietly_active(|| R::enter_to_drop(drop));
}

/// Drops what may have values of the user in it, on an attached thread.
pub(crate) fn drop_detached<T: Send>(py: Python<'_>, value: T) {
    py.detach(|| quietly_active(|| drop(value)));
}
fn quietly_active(function: impl FnOnce()) {
    let _activity = Activity::enter_anyway();
    quietly(function);
}

//! The done callbacks of a Python future: nearly always one, so that one needs no memory of its own.

use pyo3::prelude::*;

use crate::asyncio;
use crate::error::rust_panic;
use crate::panic::catch;

pub(super) struct Callback {
    pub(super) function: Py<PyAny>,
    pub(super) context: Py<PyAny>,
    /// It is a task's wake-up.
    pub(super) is_waiter: bool,
}

impl Callback {
    /// Schedules the callback.
    pub(super) fn call_soon(
        &self,
        event_loop: &Bound<'_, PyAny>,
        future: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = future.py();
        let context = self.context.bind(py);
        asyncio::call_soon(event_loop, self.function.bind(py), future, context)
    }

    /// Runs the callback now, as `asyncio.Handle` does: only an error that ends the loop comes out.
    pub(super) fn run(
        &self,
        event_loop: &Bound<'_, PyAny>,
        future: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = future.py();
        let function = self.function.bind(py);
        // PyO3 makes a panic of an exception that a panic was made of: a callback that is written in Rust may raise one.
        let result = catch(|| asyncio::run_in_context(self.context.bind(py), function, future));
        match result.unwrap_or_else(|panic| Err(rust_panic(py, panic))) {
            Err(error) if !asyncio::ends_the_loop(py, &error) => {
                let callback = asyncio::describe_callback(function, future)?;
                let message = format!("Exception in callback {callback}");
                let error = error.into_value(py).into_bound(py).into_any();
                asyncio::call_exception_handler(event_loop, &message, &error, Some(future), None)
            }
            result => result,
        }
    }
}

#[derive(Default)]
pub(super) enum Callbacks {
    #[default]
    None,
    One(Callback),
    #[expect(clippy::box_collection, reason = "the box keeps the other cases small")]
    Many(Box<Vec<Callback>>),
}

impl Callbacks {
    pub(super) fn push(&mut self, callback: Callback) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(callback),
            Self::One(first) => Self::Many(Box::new(vec![first, callback])),
            Self::Many(mut callbacks) => {
                callbacks.push(callback);
                Self::Many(callbacks)
            }
        };
    }

    pub(super) fn as_slice(&self) -> &[Callback] {
        match self {
            Self::None => &[],
            Self::One(callback) => std::slice::from_ref(callback),
            Self::Many(callbacks) => callbacks,
        }
    }

    /// Takes out those that are meant.
    pub(super) fn remove(&mut self, is_meant: impl Fn(&Callback) -> bool) -> Vec<Callback> {
        let (removed, kept): (Vec<_>, Vec<_>) = std::mem::take(self)
            .into_vec()
            .into_iter()
            .partition(is_meant);
        kept.into_iter().for_each(|callback| self.push(callback));
        removed
    }

    fn into_vec(self) -> Vec<Callback> {
        match self {
            Self::None => Vec::new(),
            Self::One(callback) => vec![callback],
            Self::Many(callbacks) => *callbacks,
        }
    }
}

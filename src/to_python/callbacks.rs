//! The done callbacks of a Python future. There is nearly always one, which needs no allocation.

use std::panic::Location;

use pyo3::prelude::*;

use crate::asyncio;
use crate::error::rust_panic;
use crate::panic::catch;

pub(super) struct Callback {
    pub(super) function: Py<PyAny>,
    pub(super) context: Py<PyAny>,
    /// Whether it wakes a task that awaits the future.
    pub(super) is_waiter: bool,
}

impl Callback {
    pub(super) fn call_soon(
        &self,
        event_loop: &Bound<'_, PyAny>,
        future: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = future.py();
        let context = self.context.bind(py);
        asyncio::call_soon(event_loop, self.function.bind(py), future, context)
    }

    /// Runs the callback now and reports its error, as `asyncio.Handle` does. Returns only an error that ends the loop.
    pub(super) fn run(
        &self,
        event_loop: &Bound<'_, PyAny>,
        future: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = future.py();
        let function = self.function.bind(py);
        // PyO3 panics when a callback raises `PanicException`, as callbacks written in Rust do.
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
    /// Python dropped the object, which was made here: none can come. Only an error is reported.
    ObjectDropped(&'static Location<'static>),
}

impl Callbacks {
    pub(super) fn push(&mut self, callback: Callback) {
        *self = match std::mem::take(self) {
            Self::None | Self::ObjectDropped(_) => Self::One(callback),
            Self::One(first) => Self::Many(Box::new(vec![first, callback])),
            Self::Many(mut callbacks) => {
                callbacks.push(callback);
                Self::Many(callbacks)
            }
        };
    }

    pub(super) fn as_slice(&self) -> &[Callback] {
        match self {
            Self::None | Self::ObjectDropped(_) => &[],
            Self::One(callback) => std::slice::from_ref(callback),
            Self::Many(callbacks) => callbacks,
        }
    }

    /// Removes and returns the callbacks that match.
    pub(super) fn remove(&mut self, matches: impl Fn(&Callback) -> bool) -> Vec<Callback> {
        let callbacks = match std::mem::take(self) {
            Self::None | Self::ObjectDropped(_) => Vec::new(),
            Self::One(callback) => vec![callback],
            Self::Many(callbacks) => *callbacks,
        };
        let (removed, kept): (Vec<_>, Vec<_>) = callbacks.into_iter().partition(matches);
        kept.into_iter().for_each(|callback| self.push(callback));
        removed
    }
}

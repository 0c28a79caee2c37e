//! The done callbacks of a Python future.

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
        let context = self.context.bind(py);
        let result = catch(|| asyncio::run_in_context(context, (function, future)).map(drop));
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

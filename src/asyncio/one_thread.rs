//! The event loop whose selector waits in a Rust runtime. It is written in Python.

use pyo3::prelude::*;

use super::lookup::{defines, imports, intern};

imports! {
    import_sleep = "asyncio", "sleep";
}

defines! {
    selector_class = "one_thread.py", "TokioSelector";
    event_loop_class = "one_thread.py", "TokioEventLoop";
}

/// A selector without the object that waits for it.
pub(crate) fn new_selector(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    selector_class(py)?.call0()
}

/// The descriptor of the selector itself. An error if it has none.
pub(crate) fn selector_descriptor(selector: &Bound<'_, PyAny>) -> PyResult<i32> {
    selector
        .call_method0(intern!(selector.py(), "fileno"))?
        .extract()
}

/// A loop on the selector, which waits by `turns.turn(timeout)` and ends by `turns.close()`. The loop runs
/// inside `with turns`, if `turns.check_thread()` allows it.
pub(crate) fn new_selector_loop<'py>(
    selector: &Bound<'py, PyAny>,
    turns: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = selector.py();
    selector.setattr(intern!(py, "turns"), turns)?;
    event_loop_class(py)?.call1((selector,))
}

/// The `turns` of a loop that [`new_selector_loop`] made.
pub(crate) fn turns_of<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    match event_loop.is_instance(event_loop_class(py)?)? {
        true => event_loop.getattr(intern!(py, "_turns")).map(Some),
        false => Ok(None),
    }
}

/// `asyncio.sleep(seconds)`
pub(crate) fn sleep(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    import_sleep(py)?.call1((seconds,))
}

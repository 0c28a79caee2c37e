//! Threads, as Python knows them: by their ident.

use std::collections::HashMap;

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::lookup::{imports, intern};

imports! {
    import_main_thread = "threading", "main_thread";
    import_get_ident = "threading", "get_ident";
    // `enumerate` takes a lock, which a thread that stands still may hold.
    import_active = "threading", "_active";
    import_dummy_thread = "threading", "_DummyThread";
    import_current_frames = "sys", "_current_frames";
    import_type = "builtins", "type";
}

/// The ident of this thread.
pub(crate) fn thread_ident(py: Python<'_>) -> PyResult<usize> {
    import_get_ident(py)?.call0()?.extract()
}

/// Whether this is the thread that handles signals.
pub(crate) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let main_thread = import_main_thread(py)?.call0()?;
    let ident = main_thread.getattr(intern!(py, "ident"))?;
    ident.eq(thread_ident(py)?)
}

/// The threads, other than this one, that are in Python code and that Python has not started.
pub(crate) fn threads_not_of_python(py: Python<'_>) -> PyResult<Vec<usize>> {
    let own = thread_ident(py)?;
    let frames: HashMap<usize, Py<PyAny>> = import_current_frames(py)?.call0()?.extract()?;
    let (active, dummy) = (import_active(py)?, import_dummy_thread(py)?);
    let mut found = Vec::new();
    for ident in frames.into_keys().filter(|&ident| ident != own) {
        let thread = active.call_method1(intern!(py, "get"), (ident,))?;
        // A dummy stands for one that has asked which thread it is.
        if thread.is_none() || thread.is_instance(dummy)? {
            found.push(ident);
        }
    }
    Ok(found)
}

/// A `SystemExit` that calls a function when it is made.
pub(crate) fn exception_that_calls<'py>(
    function: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    let base = py.get_type::<PySystemExit>();
    let members = PyDict::new(py);
    members.set_item(intern!(py, "__init__"), function)?;
    import_type(py)?.call1((base.name()?, (&base,), members))
}

/// Gives a function that has another thread make and raise an exception of this class, where its next piece of Python begins.
///
/// # Errors
///
/// `ImportError` if this Python has no `ctypes`.
pub(crate) fn throw_into_threads(
    exception: Bound<'_, PyAny>,
) -> PyResult<impl Fn(usize) -> PyResult<()>> {
    let ctypes = exception.py().import("ctypes")?;
    let throw = ctypes
        .getattr("pythonapi")?
        .getattr("PyThreadState_SetAsyncExc")?;
    let to_ident = ctypes.getattr("c_ulong")?;
    let exception = ctypes.getattr("py_object")?.call1((exception,))?;
    Ok(move |ident| {
        throw
            .call1((to_ident.call1((ident,))?, &exception))
            .map(drop)
    })
}

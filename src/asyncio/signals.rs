//! Ctrl-C, and the thread that hears of it.

use pyo3::prelude::*;

use super::lookup::{imports, intern};

imports! {
    import_getsignal = "signal", "getsignal";
    import_setsignal = "signal", "signal";
    import_default_int_handler = "signal", "default_int_handler";
    import_main_thread = "threading", "main_thread";
    import_get_ident = "threading", "get_ident";
}

const SIGINT: i32 = 2;

/// Whether Ctrl-C still does what it does where nobody has chosen otherwise.
pub(crate) fn interrupt_is_default(py: Python<'_>) -> PyResult<bool> {
    let handler = import_getsignal(py)?.call1((SIGINT,))?;
    // 0 is SIG_DFL, which an embedded interpreter starts with.
    Ok(handler.is(import_default_int_handler(py)?) || handler.eq(0).unwrap_or(false))
}

/// Whether this is the thread that handles signals.
pub(crate) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let main_thread = import_main_thread(py)?.call0()?;
    let ident = main_thread.getattr(intern!(py, "ident"))?;
    ident.eq(import_get_ident(py)?.call0()?)
}

/// Sets the handler of Ctrl-C and gives the one before. Errors outside the main thread.
pub(crate) fn set_interrupt_handler<'py>(
    handler: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    import_setsignal(handler.py())?.call1((SIGINT, handler))
}

/// Lets Ctrl-C raise `KeyboardInterrupt`, as it does in Python. An embedded interpreter starts without a handler.
#[cfg(feature = "attributes")]
pub(crate) fn handle_interrupts(py: Python<'_>) -> PyResult<()> {
    if interrupt_is_default(py)? {
        set_interrupt_handler(import_default_int_handler(py)?)?;
    }
    Ok(())
}

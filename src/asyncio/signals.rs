//! Ctrl-C.

use pyo3::prelude::*;

use super::lookup::imports;

imports! {
    import_getsignal = "signal", "getsignal";
    import_setsignal = "signal", "signal";
    import_default_int_handler = "signal", "default_int_handler";
}

const SIGINT: i32 = 2;

/// Whether Ctrl-C still does what it does where nobody has chosen otherwise.
pub(crate) fn interrupt_is_default(py: Python<'_>) -> PyResult<bool> {
    let handler = import_getsignal(py)?.call1((SIGINT,))?;
    // 0 is SIG_DFL, which an embedded interpreter starts with.
    Ok(handler.is(import_default_int_handler(py)?) || handler.eq(0).unwrap_or(false))
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

//! The named exceptions, and how panics and errors of other types become Python exceptions.

mod convert;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::Location;

use pyo3::create_exception;
use pyo3::exceptions::{PyBaseException, PyException, PyRuntimeError};
use pyo3::prelude::*;

use crate::asyncio;
use crate::panic::Panic;

pub use convert::{IntoPyErr, into_py_err};

create_exception!(
    pyo3_asyncio,
    RustPanic,
    PyException,
    "A Rust future panicked, or converting its result to Python did.\n\n\
     str() gives the text. The attributes are message (the panic's own text), file, line and, if RUST_BACKTRACE asks for \
     it, backtrace. An unknown attribute is None. From Python 3.11 on, file, line and backtrace are also a note, which a \
     traceback shows. Before 3.11, they end the text."
);

create_exception!(
    pyo3_asyncio,
    LoopClosed,
    PyRuntimeError,
    "The event loop is closed, so nothing can be awaited on it."
);

create_exception!(
    pyo3_asyncio,
    RuntimeStopped,
    PyRuntimeError,
    "The Rust runtime dropped a future before it was done, for instance because it was shut down, or the future was left \
     in the parent of a forked process."
);

/// Adds the exceptions [`RustPanic`], [`LoopClosed`] and [`RuntimeStopped`] to a module, so that Python can import and catch them.
///
/// # Errors
///
/// Any error that Python raises, such as `MemoryError`.
///
/// # Example
///
/// ```
/// use pyo3::prelude::*;
///
/// #[pymodule]
/// fn my_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
///     pyo3_asyncio::err::register(module)
/// }
///
/// # Python::initialize();
/// # Python::attach(|py| -> PyResult<()> {
/// let module = pyo3::wrap_pymodule!(my_module)(py).into_bound(py);
/// assert!(module.getattr("RustPanic")?.is(py.get_type::<pyo3_asyncio::err::RustPanic>()));
/// # Ok(())
/// # }).unwrap();
/// ```
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("RustPanic", py.get_type::<RustPanic>())?;
    module.add("LoopClosed", py.get_type::<LoopClosed>())?;
    module.add("RuntimeStopped", py.get_type::<RuntimeStopped>())
}

pub(crate) fn stream_in_parent() -> PyErr {
    RuntimeStopped::new_err(
        "the Rust stream began in the parent of this process, which has forked since: it cannot go on here",
    )
}

/// Notes where the Rust future of an error was made, if `RUST_LIB_BACKTRACE` or `RUST_BACKTRACE` asks for backtraces.
pub(crate) fn note_future(error: &Bound<'_, PyBaseException>, made_at: &Location<'_>) {
    // The standard library reads the variables once, and captures nothing unless they ask.
    if Backtrace::capture().status() == BacktraceStatus::Captured {
        note_place(error, "in the Rust future made", made_at);
    }
}

/// Adds a note about a place in Rust to an error (PEP 678). Does nothing before Python 3.11.
pub(crate) fn note_place(error: &Bound<'_, PyBaseException>, what: &str, place: &Location<'_>) {
    if error.py().version_info() >= (3, 11) {
        // The error is worth more than its note, which a class of the user's may refuse.
        let _ = asyncio::add_note(error, &format!("{what} at {place}"));
    }
}

/// The exception for a caught panic.
pub(crate) fn rust_panic(py: Python<'_>, panic: Panic) -> PyErr {
    new_rust_panic(py, panic).unwrap_or_else(|error| error)
}

fn new_rust_panic(py: Python<'_>, Panic { text, place }: Panic) -> PyResult<PyErr> {
    let note = place.as_ref().map(|place| {
        let backtrace = place.backtrace.as_ref();
        let backtrace = backtrace.map_or_else(String::new, |it| format!("\nRust backtrace:\n{it}"));
        let (file, line, column) = (&place.file, place.line, place.column);
        format!("panicked at {file}:{line}:{column}{backtrace}")
    });
    let mut full = format!("rust future panicked: {text}");
    let has_notes = py.version_info() >= (3, 11);
    if let (Some(note), false) = (&note, has_notes) {
        full = format!("{full}\n{note}");
    }
    let error = RustPanic::new_err(full);
    let value = error.value(py);
    if let (Some(note), true) = (&note, has_notes) {
        asyncio::add_note(value, note)?;
    }
    value.setattr("message", text)?;
    value.setattr("file", place.as_ref().map(|it| &it.file))?;
    value.setattr("line", place.as_ref().map(|it| it.line))?;
    value.setattr("backtrace", place.and_then(|it| it.backtrace))?;
    Ok(error)
}

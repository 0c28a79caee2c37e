//! The named errors, and what a panic said.

use std::any::Any;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;

create_exception!(
    pyo3_asyncio,
    RustPanic,
    PyException,
    "A Rust future panicked, or the conversion of its result to Python did."
);

create_exception!(
    pyo3_asyncio,
    LoopClosed,
    PyRuntimeError,
    "The event loop that something was awaited on is closed."
);

create_exception!(
    pyo3_asyncio,
    RuntimeStopped,
    PyRuntimeError,
    "The Rust runtime dropped a future before it was done, as a runtime does that is shut down."
);

/// The error for a caught panic, with the panic's own text.
pub(crate) fn rust_panic(payload: Box<dyn Any + Send>) -> PyErr {
    let text = panic_text(&*payload);
    let error = RustPanic::new_err(format!("rust future panicked: {text}"));
    // Dropping a payload may panic again: a value of the user's can do anything.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
    error
}

pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is not text (std::panic::panic_any)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_panic_is_found_in_each_of_its_forms() {
        let caught = |panic: fn()| std::panic::catch_unwind(panic).unwrap_err();
        assert_eq!(panic_text(&*caught(|| panic!("plain"))), "plain");
        assert_eq!(panic_text(&*caught(|| panic!("{}", 1 + 1))), "2");
        let other = caught(|| std::panic::panic_any(7_u8));
        assert!(panic_text(&*other).contains("not text"));
    }
}

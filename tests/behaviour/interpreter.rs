//! The embedded interpreter of a test binary.

use std::sync::{Once, mpsc};
use std::thread;

use pyo3::prelude::*;

/// Starts Python once a process, and prepares it.
///
/// The thread that initializes Python is its main thread, which uvloop treats specially. So no test runs on it. It does not end
/// before the tests, because another thread would get its ident.
pub(crate) fn initialize(prepare: fn(Python<'_>)) {
    static INITIALIZED: Once = Once::new();
    INITIALIZED.call_once(|| {
        let (initialized, is_initialized) = mpsc::channel();
        thread::spawn(move || {
            Python::initialize();
            Python::attach(|py| {
                py.import("threading")
                    .expect("it is in the standard library");
                prepare(py);
            });
            initialized.send(()).expect("the first test waits for it");
            loop {
                thread::park();
            }
        });
        is_initialized.recv().expect("Python can be initialized");
    });
}

//! The embedded interpreter of a test binary.

use std::sync::{Once, mpsc};
use std::thread;

use pyo3::prelude::*;

/// Starts Python once a process, and prepares it.
///
/// Python's main thread is the one that initializes it, and uvloop treats that thread in its own way. It is none of the
/// tests', and does not end before them: its ident would be given to another.
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

//! The bridge's panic hook calls the program's hook, and a hook that is set later replaces it.
//!
//! A process has one hook, so this file has one test.

#![cfg(feature = "tokio-runtime")]

use std::panic::{set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pyo3::prelude::*;
use pyo3_asyncio::err::RustPanic;
use pyo3_asyncio::tokio;

/// Sets a hook that counts its calls.
fn counting_hook() -> Arc<AtomicUsize> {
    let reports = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reports);
    set_hook(Box::new(move |_| {
        count.fetch_add(1, SeqCst);
    }));
    reports
}

/// Runs a Rust future that panics, and returns whether its error has a line.
fn panic_has_a_line(py: Python<'_>) -> PyResult<bool> {
    let panicked = tokio::run::<_, ()>(py, async { panic!("on purpose") });
    let error = panicked.unwrap_err();
    assert!(error.is_instance_of::<RustPanic>(py), "{error}");
    assert_eq!(
        error.value(py).getattr("message")?.extract::<String>()?,
        "on purpose"
    );
    let line: Option<u32> = error.value(py).getattr("line")?.extract()?;
    Ok(line.is_some())
}

/// Asserts that a local future is refused on this thread, which cannot poll it.
fn refuse_a_local_future(py: Python<'_>) -> PyResult<()> {
    let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
    let ready = async { Ok(()) };
    let refused = tokio::local_future_into_py_with_loop(event_loop.clone(), ready);
    assert!(refused.unwrap_err().to_string().contains("not Send"));
    event_loop.call_method0("close").map(drop)
}

#[test]
fn the_programs_hook_is_called_once_and_errors_have_a_line_unless_a_later_hook_replaces_ours()
-> PyResult<()> {
    Python::initialize();
    Python::attach(|py| {
        let first = counting_hook();
        assert!(panic_has_a_line(py)?);
        assert_eq!(first.load(SeqCst), 1);

        // Tokio panics because there is no LocalSet. The hook is not called for it.
        refuse_a_local_future(py)?;
        assert_eq!(first.load(SeqCst), 1);

        // A later hook may call the one before it.
        let before = take_hook();
        let second = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&second);
        set_hook(Box::new(move |panic| {
            count.fetch_add(1, SeqCst);
            before(panic);
        }));
        assert!(panic_has_a_line(py)?);
        assert_eq!((first.load(SeqCst), second.load(SeqCst)), (2, 1));

        // If a later hook does not call the one before it, errors have no line.
        let kept = take_hook();
        let third = counting_hook();
        assert!(!panic_has_a_line(py)?);
        assert_eq!((second.load(SeqCst), third.load(SeqCst)), (1, 1));
        set_hook(kept);
        assert!(panic_has_a_line(py)?);
        assert_eq!((second.load(SeqCst), third.load(SeqCst)), (2, 1));

        // Panics of other threads still reach the hooks.
        let elsewhere = std::thread::spawn(|| panic!("on purpose"));
        assert!(py.detach(|| elsewhere.join()).is_err());
        assert_eq!(second.load(SeqCst), 3);
        Ok(())
    })
}

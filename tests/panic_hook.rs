//! The panic hook of the process is the program's: ours calls it, and gives way to one that is set later.
//!
//! A process has one hook, so this is one test.

#![cfg(feature = "tokio-runtime")]

use std::panic::{set_hook, take_hook};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

use pyo3::prelude::*;
use pyo3_asyncio::err::RustPanic;
use pyo3_asyncio::tokio;

/// A hook that counts the reports it gets.
fn counting_hook() -> Arc<AtomicUsize> {
    let reports = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reports);
    set_hook(Box::new(move |_| {
        count.fetch_add(1, SeqCst);
    }));
    reports
}

/// Lets a Rust future panic. Whether the error tells the line.
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

/// Asks for a future that stays on this thread, which cannot poll it.
fn refuse_a_local_future(py: Python<'_>) -> PyResult<()> {
    let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
    let ready = async { Ok(()) };
    let refused = tokio::local_future_into_py_with_loop(event_loop.clone(), ready);
    assert!(refused.unwrap_err().to_string().contains("not Send"));
    event_loop.call_method0("close").map(drop)
}

#[test]
fn every_hook_of_the_programs_is_called_once_and_errors_tell_the_place() -> PyResult<()> {
    Python::initialize();
    Python::attach(|py| {
        let first = counting_hook();
        assert!(panic_has_a_line(py)?);
        assert_eq!(first.load(SeqCst), 1);

        // One that is set later, without a thought of the one before.
        let second = counting_hook();
        assert!(panic_has_a_line(py)?);
        assert_eq!((first.load(SeqCst), second.load(SeqCst)), (1, 1));

        // What tokio answers by a panic is no report: here, that there is no LocalSet.
        refuse_a_local_future(py)?;
        assert_eq!(second.load(SeqCst), 1);

        // One that calls the one before.
        let before = take_hook();
        let third = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&third);
        set_hook(Box::new(move |panic| {
            count.fetch_add(1, SeqCst);
            before(panic);
        }));
        assert!(panic_has_a_line(py)?);
        assert_eq!((second.load(SeqCst), third.load(SeqCst)), (2, 1));

        // One that keeps the one before for later, as tests do that want silence: the error has no place meanwhile.
        let kept = take_hook();
        let fourth = counting_hook();
        assert!(!panic_has_a_line(py)?);
        assert_eq!((third.load(SeqCst), fourth.load(SeqCst)), (1, 1));
        set_hook(kept);
        assert!(panic_has_a_line(py)?);
        assert_eq!((third.load(SeqCst), fourth.load(SeqCst)), (2, 1));

        // Panics of other threads are reported as before.
        let elsewhere = std::thread::spawn(|| panic!("on purpose"));
        assert!(py.detach(|| elsewhere.join()).is_err());
        assert_eq!(third.load(SeqCst), 3);

        // A hook may wait for the interpreter, and nobody waits for it meanwhile who has that.
        let (runs, waits) = mpsc::channel();
        set_hook(Box::new(move |_| {
            runs.send(()).unwrap();
            Python::attach(|_| ());
        }));
        let elsewhere = std::thread::spawn(|| panic!("on purpose"));
        waits.recv().unwrap();
        refuse_a_local_future(py)?;
        assert!(py.detach(|| elsewhere.join()).is_err());
        Ok(())
    })
}

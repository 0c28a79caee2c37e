//! Event loops on threads of their own. A thread that blocks on a Rust future runs on them what the future awaits in Python.
//!
//! # Protocol
//!
//! 1. The first call of [`background_loop`] makes a loop and its thread. Python makes the thread, so `threading` knows it. It is a
//!    daemon thread, because Python waits for all others before it calls the callbacks of `atexit`.
//! 2. Later calls return the oldest loop that can run, so that callbacks share clients and locks of asyncio. A loop cannot run
//!    while a callback [blocks](mark_blocked) it, and it does not serve a call from its own thread. If no loop is left, the call
//!    makes another. Hence a callback may block again, at any depth.
//! 3. At the end of the process, each loop is stopped. Its thread then cancels the tasks, waits for them and ends the async
//!    generators. It does not wait for the threads of the loop's executor. A thread that then needs another loop rests for ever.
//! 4. The child of a fork has none of these threads. It makes loops of its own.
//! 5. The lock is not held while Python is called.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::Mailbox;
use crate::asyncio;
use crate::process::Entry;
use crate::sync::activity;
use crate::sync::generation::PerProcess;
use crate::sync::primitive::lock;
use crate::sync::registry::Registered as _;

struct BackgroundLoop {
    event_loop: Py<PyAny>,
    mailbox: Mailbox,
    thread: Py<PyAny>,
    is_blocked: bool,
}

/// The oldest first.
static BACKGROUND: PerProcess<Mutex<Vec<BackgroundLoop>>> = PerProcess::new(Mutex::new(Vec::new()));

/// A loop that can run now, in another thread.
pub(crate) fn background_loop<'py>(entry: &Entry<'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = entry.py();
    let here = asyncio::running_loop(py)?;
    let find = |loops: &[BackgroundLoop]| {
        let is_elsewhere =
            |it: &BackgroundLoop| !here.as_ref().is_some_and(|here| here.is(&it.event_loop));
        let found = loops
            .iter()
            .find(|it| !it.is_blocked && it.mailbox.is_open() && is_elsewhere(it))?;
        Some(found.event_loop.bind(py).clone())
    };
    let found = find(&lock(BACKGROUND.get()));
    if let Some(found) = found {
        return Ok(found);
    }
    // Nothing would end a loop that is made while the process ends.
    py.detach(activity::rest_if_given_up);
    let event_loop = asyncio::new_event_loop(py, None)?;
    let thread = asyncio::loop_thread(&event_loop)?;
    let made = BackgroundLoop {
        mailbox: Mailbox::of(entry, &event_loop)?,
        event_loop: event_loop.clone().unbind(),
        thread: thread.clone().unbind(),
        is_blocked: false,
    };
    let (faster, unused) = {
        let mut loops = lock(BACKGROUND.get());
        match find(&loops) {
            Some(faster) => (Some(faster), vec![made]),
            None => {
                let (open, closed) = std::mem::take(&mut *loops)
                    .into_iter()
                    .partition(|it| it.mailbox.is_open());
                *loops = open;
                loops.push(made);
                (None, closed)
            }
        }
    };
    drop(unused);
    if let Some(faster) = faster {
        // Another thread made it meanwhile.
        asyncio::close(&event_loop)?;
        return Ok(faster);
    }
    if let Err(error) = asyncio::start_thread(&thread) {
        // `close` fails if the thread runs after all. The loop is in use then.
        let _ = asyncio::close(&event_loop);
        return Err(error);
    }
    Ok(event_loop)
}

/// Notes whether a callback blocks the loop with this address. True if that is new, and the loop is one of these.
pub(crate) fn mark_blocked(address: usize, is_blocked: bool) -> bool {
    let mut loops = lock(BACKGROUND.get());
    let marked = loops.iter_mut().find(|it| it.mailbox.address() == address);
    marked.is_some_and(|it| std::mem::replace(&mut it.is_blocked, is_blocked) != is_blocked)
}

/// Ends the loops of this process, and waits for their threads.
pub(crate) fn end_all(py: Python<'_>, patience: Duration) {
    let deadline = Instant::now() + patience;
    let loops = std::mem::take(&mut *lock(BACKGROUND.get()));
    for BackgroundLoop {
        event_loop,
        mailbox,
        ..
    } in &loops
    {
        let event_loop = event_loop.clone_ref(py);
        mailbox.post(Box::new(move |py| asyncio::stop(event_loop.bind(py))));
    }
    for BackgroundLoop { thread, .. } in &loops {
        let left = deadline.saturating_duration_since(Instant::now());
        // An error if this is the loop's own thread, which cannot wait for itself.
        let _ = asyncio::join_thread(thread.bind(py), left);
    }
}

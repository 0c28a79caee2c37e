//! The three ways to wake a loop:
//!
//! - A descriptor that the loop watches with `add_reader`. Ringing it needs no interpreter.
//! - One helper thread, which calls `call_soon_threadsafe`. It attaches, so that no worker of a runtime has to. It serves loops
//!   that do not watch the descriptor, and every loop on Windows. `PYO3_ASYNCIO_DOORBELL=call_soon_threadsafe` asks for it.
//! - The bell of a [turn](crate::sync::turn_bell), for a loop whose selector waits in tokio.

use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::descriptor::Descriptor;
use crate::asyncio;
use crate::sync::activity::Activity;
use crate::sync::generation::PerProcess;
use crate::sync::primitive::lock;
use crate::sync::queue::Bell;
use crate::sync::turn_bell::TurnBell;

#[derive(Debug)]
pub(super) enum Doorbell {
    /// The loop has not taken the drain yet. The bell that replaces this one rings if anything was posted meanwhile.
    NotYet,
    Descriptor(Descriptor),
    Helper(Arc<HelperCall>),
    /// The loop's selector waits for it, and calls the drain.
    #[cfg_attr(
        not(feature = "tokio-runtime"),
        expect(dead_code, reason = "only tokio runs inside an event loop")
    )]
    Turn(Arc<TurnBell>),
}

impl Bell for Doorbell {
    fn ring(&self) {
        match self {
            Self::Descriptor(descriptor) => descriptor.ring(),
            Self::Helper(call) => call_from_helper(call),
            Self::Turn(bell) => bell.ring(),
            Self::NotYet => {}
        }
    }

    fn silence(&self) {
        match self {
            Self::Descriptor(descriptor) => descriptor.silence(),
            Self::Turn(bell) => bell.silence(),
            Self::Helper(_) | Self::NotYet => {}
        }
    }

    fn remind(&self) {
        match self {
            Self::Descriptor(_) | Self::Turn(_) | Self::NotYet => {}
            Self::Helper(call) => call_from_helper(call),
        }
    }
}

impl Doorbell {
    /// The descriptor that the loop watches.
    pub(super) fn descriptor(&self) -> Option<i32> {
        match self {
            Self::Descriptor(descriptor) => Some(descriptor.number()),
            Self::Helper(_) | Self::Turn(_) | Self::NotYet => None,
        }
    }

    /// Makes sure that nothing rings in the parent, in the child of a fork.
    pub(super) fn part_from_parent(&mut self) -> std::io::Result<()> {
        match self {
            Self::Descriptor(descriptor) => descriptor.part_from_parent(),
            Self::Helper(_) | Self::Turn(_) | Self::NotYet => Ok(()),
        }
    }
}

/// A call that the helper makes: `event_loop.call_soon_threadsafe(drain)`.
#[derive(Debug)]
pub(super) struct HelperCall {
    event_loop: Py<PyWeakrefReference>,
    drain: Py<PyAny>,
}

impl HelperCall {
    pub(super) fn new(event_loop: Py<PyWeakrefReference>, drain: Py<PyAny>) -> Arc<Self> {
        Arc::new(Self { event_loop, drain })
    }

    fn make(&self, py: Python<'_>) {
        let Some(event_loop) = self.event_loop.bind(py).upgrade() else {
            return;
        };
        let called = asyncio::call_soon_threadsafe(&event_loop, self.drain.bind(py));
        if let Err(error) = called {
            // A loop that closed meanwhile tells the mailbox itself, by dropping its handles.
            if !matches!(asyncio::is_closed(&event_loop), Ok(true)) {
                error.write_unraisable(py, Some(&event_loop));
            }
        }
    }
}

/// The one thread that makes the calls. `None` before the first loop needs it.
static HELPER: PerProcess<Mutex<Option<mpsc::Sender<Arc<HelperCall>>>>> =
    PerProcess::new(Mutex::new(None));

fn helper() -> MutexGuard<'static, Option<mpsc::Sender<Arc<HelperCall>>>> {
    lock(HELPER.get())
}

/// Starts the helper, unless it runs. It ends with the process: between two calls it holds nothing of the interpreter.
pub(super) fn start_helper() -> PyResult<()> {
    let mut helper = helper();
    if helper.is_some() {
        return Ok(());
    }
    let (calls, receiver) = mpsc::channel::<Arc<HelperCall>>();
    thread::Builder::new()
        .name("pyo3-asyncio".to_owned())
        .spawn(move || receiver.into_iter().for_each(make_call))?;
    *helper = Some(calls);
    Ok(())
}

/// Makes a call. The end of the process waits for one that is under way, and none begins after it.
fn make_call(call: Arc<HelperCall>) {
    let _activity = Activity::enter_when_open();
    // `None`: the interpreter is finalized, and no loop is left to call.
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread of these calls waits for Python so that no other has to"
    )]
    let _ = Python::try_attach(|py| {
        call.make(py);
        drop(call);
    });
}

fn call_from_helper(call: &Arc<HelperCall>) {
    if let Some(calls) = &*helper() {
        // The helper listens as long as it has a sender.
        let _ = calls.send(Arc::clone(call));
    }
}

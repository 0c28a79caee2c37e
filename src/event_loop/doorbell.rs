//! How a loop is woken: by a descriptor that it watches, or by one helper thread that calls `call_soon_threadsafe`.
//!
//! Ringing the descriptor needs no interpreter. The helper attaches, so that no worker of a runtime has to. It serves loops
//! without `add_reader`, such as the proactor loop of Windows. `PYO3_ASYNCIO_DOORBELL=call_soon_threadsafe` asks for it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, mpsc};
use std::thread;

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use crate::asyncio;
use crate::sync::activity::Activity;
use crate::sync::generation::PerProcess;
use crate::sync::primitive::lock;
use crate::sync::queue::Bell;

#[derive(Debug)]
pub(super) enum Doorbell {
    /// The loop has not taken the drain yet. The bell that replaces this one rings if anything was posted meanwhile.
    NotYet,
    #[cfg(unix)]
    Descriptor(Descriptor),
    Helper(Arc<HelperCall>),
}

impl Bell for Doorbell {
    fn ring(&self) {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => descriptor.ring(),
            Self::Helper(call) => call_from_helper(call),
            Self::NotYet => {}
        }
    }

    fn silence(&self) {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => descriptor.silence(),
            Self::Helper(_) | Self::NotYet => {}
        }
    }

    fn remind(&self) {
        match self {
            #[cfg(unix)]
            Self::Descriptor(_) => {}
            Self::NotYet => {}
            Self::Helper(call) => call_from_helper(call),
        }
    }
}

impl Doorbell {
    /// The descriptor that the loop watches.
    #[cfg(unix)]
    pub(super) fn descriptor(&self) -> Option<std::os::fd::RawFd> {
        match self {
            Self::Descriptor(descriptor) => Some(descriptor.raw()),
            Self::Helper(_) | Self::NotYet => None,
        }
    }

    /// Makes sure that nothing rings in the parent, in the child of a fork.
    pub(super) fn part_from_parent(&mut self) -> std::io::Result<()> {
        match self {
            #[cfg(unix)]
            Self::Descriptor(descriptor) => descriptor.part_from_parent(),
            Self::Helper(_) | Self::NotYet => Ok(()),
        }
    }
}

/// Whether the user asks for the helper where a descriptor would do.
pub(super) fn helper_is_forced() -> bool {
    static FORCED: OnceLock<bool> = OnceLock::new();
    *FORCED.get_or_init(|| {
        std::env::var_os("PYO3_ASYNCIO_DOORBELL").is_some_and(|kind| kind == "call_soon_threadsafe")
    })
}

#[cfg(unix)]
pub(super) use descriptor::Descriptor;

#[cfg(unix)]
mod descriptor {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};

    /// Readable from `ring` to `silence`.
    #[derive(Debug)]
    pub(in crate::event_loop) struct Descriptor {
        read: OwnedFd,
        /// The other end of a pipe; an eventfd has one end.
        write: Option<OwnedFd>,
    }

    impl Descriptor {
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        pub(in crate::event_loop) fn new() -> io::Result<Self> {
            use rustix::event::{EventfdFlags, eventfd};
            let read = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            Ok(Self { read, write: None })
        }

        #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
        pub(in crate::event_loop) fn new() -> io::Result<Self> {
            use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
            let (read, write) = rustix::pipe::pipe()?;
            for end in [&read, &write] {
                fcntl_setfd(end, FdFlags::CLOEXEC)?;
                ioctl_fionbio(end, true)?;
            }
            Ok(Self {
                read,
                write: Some(write),
            })
        }

        /// Replaces the descriptor that this process shares with its parent. The number stays: the inherited loop has it in its
        /// tables.
        pub(super) fn part_from_parent(&mut self) -> io::Result<()> {
            let own = Self::new()?;
            replace(&own.read, &mut self.read)?;
            match (&own.write, &mut self.write) {
                (Some(own), Some(shared)) => replace(own, shared),
                _ => Ok(()),
            }
        }

        pub(in crate::event_loop) fn raw(&self) -> RawFd {
            self.read.as_raw_fd()
        }

        /// If the write would block, the descriptor is readable already. No other error can come from it.
        pub(super) fn ring(&self) {
            let end = self.write.as_ref().unwrap_or(&self.read);
            let _ = rustix::io::retry_on_intr(|| rustix::io::write(end, &1_u64.to_ne_bytes()));
        }

        pub(super) fn silence(&self) {
            // One read empties an eventfd, and a pipe too, since it is rung once until it is silenced.
            let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.read, &mut [0_u8; 8]));
        }
    }

    fn replace(own: &OwnedFd, shared: &mut OwnedFd) -> io::Result<()> {
        use rustix::io::{FdFlags, dup2, fcntl_setfd};
        dup2(own, shared)?;
        Ok(fcntl_setfd(shared, FdFlags::CLOEXEC)?)
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

//! A descriptor that a loop watches with `add_reader`: an eventfd, or a pipe where there is none.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use pyo3::prelude::*;

use crate::asyncio;

/// Readable from `ring` to `silence`.
#[derive(Debug)]
pub(super) struct Descriptor {
    read: OwnedFd,
    /// The other end of a pipe; an eventfd has one end.
    write: Option<OwnedFd>,
}

impl Descriptor {
    /// Makes one that calls the drain. `None` if the loop does not watch it, or if the user asks for the helper.
    pub(super) fn watched_by(
        event_loop: &Bound<'_, PyAny>,
        drain: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Self>> {
        if helper_is_forced() {
            return Ok(None);
        }
        let descriptor = Self::new()?;
        let is_watched = asyncio::add_reader(event_loop, descriptor.number(), drain)?;
        Ok(is_watched.then_some(descriptor))
    }

    #[cfg(all(
        any(target_os = "linux", target_os = "android", target_os = "freebsd"),
        not(pyo3_asyncio_pipe)
    ))]
    fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let read = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { read, write: None })
    }

    #[cfg(not(all(
        any(target_os = "linux", target_os = "android", target_os = "freebsd"),
        not(pyo3_asyncio_pipe)
    )))]
    fn new() -> io::Result<Self> {
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

    /// What the loop knows it by.
    pub(super) fn number(&self) -> i32 {
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

/// Whether the user asks for the helper where a descriptor would do.
fn helper_is_forced() -> bool {
    std::env::var_os("PYO3_ASYNCIO_DOORBELL").is_some_and(|kind| kind == "call_soon_threadsafe")
}

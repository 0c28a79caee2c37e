//! A timer that is as precise as the system's. Tokio's own count whole milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Called inside the runtime's context.
    #[allow(
        deprecated,
        reason = "the newer constructor is not in every tokio that this crate supports"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?).map(Self)
    }

    /// Waits, one wait at a time.
    pub(super) async fn wait(&self, time: Duration) {
        if self.expiry(time).await.is_err() {
            tokio::time::sleep(time).await;
        }
    }

    async fn expiry(&self, time: Duration) -> io::Result<()> {
        let setting = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(time).map_err(io::Error::other)?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &setting)?;
        loop {
            let mut readable = self.0.readable().await?;
            let expired = rustix::io::read(&self.0, &mut [0_u8; 8]);
            // It is empty now, whether an earlier setting had expired or this one.
            readable.clear_ready();
            if expired.is_ok() {
                return Ok(());
            }
        }
    }
}

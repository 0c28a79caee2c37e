//! In place of `timer`, where the system has no timer with a descriptor.

use std::io;
use std::time::Duration;

pub(super) struct Timer;

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

//! A descriptor of another owner that a runtime watches.

use std::io;
use std::os::fd::RawFd;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(super) struct Readable(AsyncFd<RawFd>);

impl Readable {
    /// Called inside the runtime's context. The descriptor must stay open until this is dropped.
    #[allow(
        deprecated,
        reason = "the newer constructor takes an owner of the descriptor, and that is a Python object"
    )]
    pub(super) fn new(descriptor: i32) -> io::Result<Self> {
        AsyncFd::with_interest(descriptor, Interest::READABLE).map(Self)
    }

    /// Ready from an edge on, until [`clear`](Self::clear).
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error is the runtime's end, and a wait must not outlast it.
        self.0.poll_read_ready(context).map(drop)
    }

    pub(super) fn clear(&self, context: &mut Context<'_>) {
        if let Poll::Ready(Ok(mut readable)) = self.0.poll_read_ready(context) {
            readable.clear_ready();
        }
    }
}

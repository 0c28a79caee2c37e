//! Whether a future was woken since it was last polled.
//!
//! # Protocol
//!
//! 1. A waker calls [`set`](WakeFlag::set). If the flag was not set before, this waker brings about the next poll: it posts a
//!    job, or unparks a thread. Otherwise a poll is on its way already.
//! 2. The poller calls [`take`](WakeFlag::take) and polls after it. So it sees what every waker did before it called `set`.
//! 3. Both are swaps, never plain stores. A poll that follows a store would see what the last of several wakers did, and
//!    could miss what the others did.

use super::primitive::{AtomicBool, Ordering};

pub(crate) struct WakeFlag(AtomicBool);

impl WakeFlag {
    pub(crate) fn new(is_set: bool) -> Self {
        Self(AtomicBool::new(is_set))
    }

    /// Sets the flag. True if the caller has to bring about the poll.
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Unsets the flag before a poll. True if it was set.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

//! The event loop that this thread runs and keeps waiting.
//!
//! What is awaited on that loop, in this thread, would be waited for for ever.

use std::cell::Cell;

use pyo3::prelude::*;

use super::Mailbox;

thread_local! {
    /// The address of the loop, which lives as long as it runs. 0 if there is none.
    static BLOCKED: Cell<usize> = const { Cell::new(0) };
}

/// Notes the loop of this thread as blocked until it is dropped.
#[must_use = "the loop is noted until this is dropped"]
pub(crate) struct Blocked {
    outer: usize,
}

impl Blocked {
    pub(crate) fn new(event_loop: &Bound<'_, PyAny>) -> Self {
        let outer = BLOCKED.replace(event_loop.as_ptr() as usize);
        Self { outer }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        BLOCKED.set(self.outer);
    }
}

impl Mailbox {
    /// Whether this thread runs the loop of this mailbox and keeps it from its work.
    pub(crate) fn is_blocked_here(&self) -> bool {
        BLOCKED.get() == self.0.address
    }
}

//! Ends the wait of a thread that drives a runtime, from any thread.
//!
//! 1. The flag is in a [`WakerCell`], so a ring that [`poll`](TurnBell::poll) does not see finds its waker.
//! 2. The flag stays set until [`silence`](TurnBell::silence). Until then every poll is ready.

use std::task::{Context, Poll};

use super::cell::{WakerAction, WakerCell};

#[derive(Debug)]
pub(crate) struct TurnBell(WakerCell<bool>);

impl TurnBell {
    pub(crate) fn new() -> Self {
        Self(WakerCell::new(false))
    }

    /// Wakes the thread that waits. Its waker is that of a runtime, so it runs no foreign code.
    pub(crate) fn ring(&self) {
        self.0.change(|rung| (*rung = true, [WakerAction::Wake]));
    }

    pub(crate) fn silence(&self) {
        *self.0.lock() = false;
    }

    pub(crate) fn is_rung(&self) -> bool {
        *self.0.lock()
    }

    /// Ready from a ring on.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        self.0.poll(0, context.waker(), |rung| rung.then_some(()))
    }
}

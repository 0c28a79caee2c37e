//! Ends the wait of a thread that drives a runtime, from any thread.
//!
//! 1. One mutex guards the flag and the waker. `ring` sets the flag and takes the waker out. `poll` looks at the flag and stores
//!    the waker. So a ring that `poll` does not see finds the waker.
//! 2. The flag stays set until `silence`. Until then every `poll` is ready.

use std::task::{Context, Poll, Waker};

use super::primitive::{Mutex, lock};

#[derive(Debug)]
pub(crate) struct TurnBell(Mutex<Turn>);

#[derive(Debug, Default)]
struct Turn {
    is_rung: bool,
    waker: Option<Waker>,
}

impl TurnBell {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Turn::default()))
    }

    /// Wakes whoever polls. The waker is that of a runtime, so it runs no foreign code.
    pub(crate) fn ring(&self) {
        let waker = {
            let mut turn = lock(&self.0);
            turn.is_rung = true;
            turn.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn silence(&self) {
        lock(&self.0).is_rung = false;
    }

    pub(crate) fn is_rung(&self) -> bool {
        lock(&self.0).is_rung
    }

    /// Ready from a ring on.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut turn = lock(&self.0);
        if turn.is_rung {
            return Poll::Ready(());
        }
        let previous = turn.waker.replace(context.waker().clone());
        drop(turn);
        drop(previous);
        Poll::Pending
    }
}

//! How a cancellation by Python is handed to a Rust future, instead of dropping the future.
//!
//! # Protocol
//!
//! 1. Python's side leaves a cancellation in the slot with [`hand`](CancelSlot::hand). It replaces one that nobody has taken.
//! 2. The Rust future has a handle. The handle takes each cancellation once, with [`poll_taken`](CancelSlot::poll_taken).
//! 3. The slot closes when the handle is dropped, with [`close`](CancelSlot::close), or when the future is done, with
//!    [`take_and_close`](CancelSlot::take_and_close). A closed slot refuses cancellations. Python's side then drops the future.
//! 4. An accepted cancellation is never lost, because Python was told that it counts. If the handle is dropped and leaves one,
//!    `close` wakes the wrapper around the future, which takes it with [`poll_left`](CancelSlot::poll_left). If the future is
//!    done and leaves one, `take_and_close` returns it, in the same step that closes the slot.
//! 5. Cancellations are dropped without the lock.

use std::task::{Poll, Waker};

use super::cell::{WakerAction, WakerCell};

/// The waiters of a slot: the task that has the handle, and the task that runs the future. They may be two tasks.
const HANDLE: usize = 0;
const WRAPPER: usize = 1;

pub(crate) struct CancelSlot<C>(WakerCell<SlotState<C>, 2>);

struct SlotState<C> {
    cancellation: Option<C>,
    was_handed: bool,
    is_closed: bool,
}

impl<C> CancelSlot<C> {
    pub(crate) fn new() -> Self {
        Self(WakerCell::new(SlotState {
            cancellation: None,
            was_handed: false,
            is_closed: false,
        }))
    }

    /// Leaves a cancellation. False if the slot is closed.
    pub(crate) fn hand(&self, cancellation: C) -> bool {
        let (accepted, unused) = self.0.change(|state| {
            if state.is_closed {
                return ((false, Some(cancellation)), [WakerAction::Keep; 2]);
            }
            state.was_handed = true;
            let previous = state.cancellation.replace(cancellation);
            ((true, previous), [WakerAction::Wake, WakerAction::Keep])
        });
        drop(unused);
        accepted
    }

    /// The handle is gone.
    pub(crate) fn close(&self) {
        self.0.change(|state| {
            state.is_closed = true;
            let wrapper = match state.cancellation {
                Some(_) => WakerAction::Wake,
                None => WakerAction::Forget,
            };
            ((), [WakerAction::Forget, wrapper])
        });
    }

    /// The future is done. Gives the cancellation that is left.
    pub(crate) fn take_and_close(&self) -> Option<C> {
        self.0.change(|state| {
            state.is_closed = true;
            (state.cancellation.take(), [WakerAction::Forget; 2])
        })
    }

    /// Takes the next cancellation.
    pub(crate) fn poll_taken(&self, waker: &Waker) -> Poll<C> {
        self.0
            .poll(HANDLE, waker, |state| state.cancellation.take())
    }

    /// Takes the cancellation that is left once the slot is closed.
    pub(crate) fn poll_left(&self, waker: &Waker) -> Poll<C> {
        self.0.poll(WRAPPER, waker, |state| match state.is_closed {
            true => state.cancellation.take(),
            false => None,
        })
    }

    /// Whether there was a cancellation, taken or not.
    pub(crate) fn was_handed(&self) -> bool {
        self.0.lock().was_handed
    }
}

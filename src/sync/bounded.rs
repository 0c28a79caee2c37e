//! The items of a stream, on their way from the thread of an event loop to a Rust consumer.
//!
//! # Protocol
//!
//! 1. The producer has a *grant*: the number of items that it may still make. At first, that is the capacity. The grant and the
//!    items that wait for the consumer never exceed the capacity.
//! 2. `push` brings the items that were made since the last push, and wakes the consumer.
//! 3. A producer whose grant is used up pushes its items, and then calls `request`. If half of the capacity is free, it is
//!    granted what is free. Otherwise the producer waits.
//! 4. A consumer that takes an item, and thereby frees half of the capacity for a producer that waits, has to call it
//!    ([`Taken::calls`]). The producer then requests again. So there is one call for each half of the capacity at most.
//! 5. The consumer ends with `stop`, which returns the items that are left. From then on `push` returns the items, and every
//!    request is granted.
//! 6. A producer that makes no more items ends with `end`. The consumer still takes the items that are left.
//! 7. Items are dropped without the lock.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::cell::{WakerAction, WakerCell};

pub(crate) struct Bounded<T> {
    state: WakerCell<BoundedState<T>>,
    capacity: usize,
}

struct BoundedState<T> {
    items: VecDeque<T>,
    wanted: Wanted,
    is_producer_waiting: bool,
}

/// What the consumer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Items,
    /// Only that the producer goes on.
    Detached,
    /// That the producer ends.
    Nothing,
}

/// An item, and whether the consumer has to call the producer.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the producer may wait for a call"]
pub(crate) struct Taken<T> {
    pub(crate) item: T,
    pub(crate) calls: bool,
}

impl<T> BoundedState<T> {
    /// The room for a producer without a grant, if it is worth a call.
    fn room(&self, capacity: usize) -> Option<usize> {
        let free = capacity - self.items.len();
        (free >= capacity.div_ceil(2)).then_some(free)
    }
}

impl<T> Bounded<T> {
    /// The first grant is `capacity`, which is at least 1.
    pub(crate) fn new(capacity: usize) -> Self {
        let state = BoundedState {
            items: VecDeque::new(),
            wanted: Wanted::Items,
            is_producer_waiting: false,
        };
        Self {
            state: WakerCell::new(state),
            capacity,
        }
    }

    pub(crate) fn wanted(&self) -> Wanted {
        self.state.lock().wanted
    }

    /// Brings items. Returns them if the consumer does not want them.
    #[must_use = "an item that comes back may be an error"]
    pub(crate) fn push(&self, items: Vec<T>) -> Vec<T> {
        self.state.change(|state| match state.wanted {
            Wanted::Items if !items.is_empty() => {
                state.items.extend(items);
                (Vec::new(), [WakerAction::Wake])
            }
            _ => (items, [WakerAction::Keep]),
        })
    }

    /// Asks for a grant. `None` if the producer has to wait for a call.
    pub(crate) fn request(&self) -> Option<usize> {
        let mut state = self.state.lock();
        let room = state.room(self.capacity);
        state.is_producer_waiting = room.is_none();
        room
    }

    /// Takes an item, or leaves a waker for `push`.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Taken<T>> {
        self.state.poll(0, waker, |state| {
            let item = state.items.pop_front()?;
            let calls = state.is_producer_waiting && state.room(self.capacity).is_some();
            state.is_producer_waiting &= !calls;
            Some(Taken { item, calls })
        })
    }

    /// The producer wants to make no more items. The consumer still takes those that are there.
    pub(crate) fn end(&self) {
        self.state.lock().wanted = Wanted::Nothing;
    }

    /// The consumer takes no more items. Returns those that are left, and whether it has to call the producer.
    pub(crate) fn stop(&self, wanted: Wanted) -> (VecDeque<T>, bool) {
        self.state.change(|state| {
            if state.wanted == Wanted::Items {
                state.wanted = wanted;
            }
            let items = std::mem::take(&mut state.items);
            let calls = std::mem::take(&mut state.is_producer_waiting);
            ((items, calls), [WakerAction::Forget])
        })
    }
}

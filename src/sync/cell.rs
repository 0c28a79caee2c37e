//! A state, and the wakers of the tasks that wait for it to change.
//!
//! # Protocol
//!
//! 1. One mutex guards the state and one waker for each waiter.
//! 2. [`poll`](WakerCell::poll) looks at the state. If it does not find what it waits for, it releases the lock and clones the
//!    waker. Then it locks again and looks again. If it still finds nothing, it leaves the clone before it releases the lock.
//!    So it misses no change in between, and leaves no waker once it has found something. If the waker that it left before wakes
//!    the same task, it clones nothing.
//! 3. [`change`](WakerCell::change) changes the state and takes out the wakers that the change concerns, in one step. It wakes
//!    or drops them after it has released the lock.
//! 4. Cloning, waking and dropping a waker runs foreign code, which may take locks of its own or panic. None of it runs under
//!    the lock. A panic of a wake or a drop does not reach the caller.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use super::primitive::{Mutex, MutexGuard, lock};

/// A state that up to `WAITERS` tasks wait for.
#[derive(Debug)]
pub(crate) struct WakerCell<S, const WAITERS: usize = 1>(Mutex<Contents<S, WAITERS>>);

#[derive(Debug)]
struct Contents<S, const WAITERS: usize> {
    state: S,
    wakers: [Option<Waker>; WAITERS],
}

/// What a change means for a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerAction {
    /// It goes on waiting.
    Keep,
    /// It is woken.
    Wake,
    /// It is not woken any more.
    Forget,
}

/// The locked state. Nothing foreign is called and nothing foreign is dropped while it lives.
pub(crate) struct Locked<'a, S, const WAITERS: usize>(MutexGuard<'a, Contents<S, WAITERS>>);

impl<S, const WAITERS: usize> Deref for Locked<'_, S, WAITERS> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S, const WAITERS: usize> DerefMut for Locked<'_, S, WAITERS> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.state
    }
}

impl<S, const WAITERS: usize> WakerCell<S, WAITERS> {
    pub(crate) fn new(state: S) -> Self {
        Self(Mutex::new(Contents {
            state,
            wakers: [const { None }; WAITERS],
        }))
    }

    /// Locks the state, for a look or for a change that no waiter waits for.
    pub(crate) fn lock(&self) -> Locked<'_, S, WAITERS> {
        Locked(lock(&self.0))
    }

    /// Gives what `look` finds, or leaves the waker for the change that brings it.
    pub(crate) fn poll<R>(
        &self,
        waiter: usize,
        waker: &Waker,
        mut look: impl FnMut(&mut S) -> Option<R>,
    ) -> Poll<R> {
        {
            let mut inner = lock(&self.0);
            if let Some(found) = look(&mut inner.state) {
                return Poll::Ready(found);
            }
            let left = inner.wakers[waiter].as_ref();
            if left.is_some_and(|left| left.will_wake(waker)) {
                return Poll::Pending;
            }
        }
        let mut waker = Some(waker.clone());
        let mut inner = lock(&self.0);
        let found = look(&mut inner.state);
        if found.is_none() {
            std::mem::swap(&mut inner.wakers[waiter], &mut waker);
        }
        drop(inner);
        quietly(|| drop(waker));
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Changes the state, and does with each waiter as the change says.
    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut S) -> (R, [WakerAction; WAITERS]),
    ) -> R {
        let mut inner = lock(&self.0);
        let (result, then) = change(&mut inner.state);
        let mut taken = [const { None }; WAITERS];
        for (waiter, then) in then.into_iter().enumerate() {
            if then != WakerAction::Keep {
                taken[waiter] = inner.wakers[waiter].take();
            }
        }
        drop(inner);
        for (waker, then) in taken.into_iter().zip(then) {
            match waker {
                Some(waker) if then == WakerAction::Wake => quietly(|| waker.wake()),
                waker => quietly(|| drop(waker)),
            }
        }
        result
    }
}

/// Runs foreign code whose panic is not the caller's. The panic hook has reported it.
pub(crate) fn quietly(function: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(function)) {
        // The drop of a payload may panic in its turn. That payload stays, unless it is a text, which cannot panic.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            if !payload.is::<String>() && !payload.is::<&'static str>() {
                std::mem::forget(payload);
            }
        }
    }
}

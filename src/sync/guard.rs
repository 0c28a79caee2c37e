//! The threads that run user code by way of ours, and how the process keeps them out while it ends or forks.
//!
//! # Protocol
//!
//! 1. A thread [enters](Guard::enter) before it runs user code and [leaves](Guard::leave) after it. What it does in between,
//!    entering again included, is one *activity*.
//! 2. One word holds the count of activities and the bars. Entering is one atomic addition, which tells what was there before.
//!    So either the thread that bars the word sees the activity, or the activity sees the bar and is taken back.
//! 3. A *closed* guard (the process ends) refuses every activity until it opens again. A *held* guard (the process forks)
//!    refuses until it is released.
//! 4. A refused thread does not wait with user code on its stack: a poll leaves its waker with
//!    [`wake_when_open`](Guard::wake_when_open) and returns. Lifting the last bar wakes all that were left. The waker is
//!    left, and the bar looked at again, under the lock under which they are taken.
//! 5. The thread that bars waits, with a bound, until [no other thread](Guard::others) is active.
//! 6. A thread that only waits in the midst of an activity [leaves for so long](Guard::pause).
//! 7. An attached thread may be active [uncounted](Guard::enter_uncounted) while the process forks: the fork needs the
//!    interpreter, which that thread has.
//! 8. The child of a fork [starts over](Guard::start_over), with the activity of the thread that forked.

use std::cell::Cell;
use std::task::Waker;

use super::cell::quietly;
use super::primitive::{AtomicUsize, Mutex, Ordering, lock};

/// The lower bits count the active threads.
const COUNT: usize = HELD - 1;
/// Added for each fork that is under way.
const HELD: usize = 1 << 16;
const CLOSED: usize = 1 << 31;

/// The activities of a process, and what bars them.
pub(crate) struct Guard {
    word: AtomicUsize,
    refused: Mutex<Vec<Waker>>,
}

/// Why a thread may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// The process ends.
    Closed,
    /// The process forks.
    Held,
}

/// What a thread knows of its own activity.
#[derive(Default)]
pub(crate) struct Presence {
    depth: Cell<u32>,
    is_counted: Cell<bool>,
}

impl Presence {
    pub(crate) const fn new() -> Self {
        Self {
            depth: Cell::new(0),
            is_counted: Cell::new(false),
        }
    }

    fn count(&self) -> usize {
        usize::from(self.is_counted.get())
    }
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicUsize::new(0),
            refused: Mutex::new(Vec::new()),
        }
    }

    /// Begins an activity, or one within another.
    pub(crate) fn enter(&self, presence: &Presence) -> Result<(), Barred> {
        if presence.depth.get() == 0 {
            self.count_in(presence)?;
        }
        self.enter_uncounted(presence);
        Ok(())
    }

    /// Begins an activity that no bar stops and that nobody waits for.
    pub(crate) fn enter_uncounted(&self, presence: &Presence) {
        presence.depth.set(presence.depth.get() + 1);
    }

    /// Ends what `enter` or `enter_uncounted` began.
    pub(crate) fn leave(&self, presence: &Presence) {
        presence.depth.set(presence.depth.get() - 1);
        if presence.depth.get() == 0 {
            self.pause(presence);
        }
    }

    /// Takes an activity out of the count, for as long as its thread waits.
    pub(crate) fn pause(&self, presence: &Presence) {
        if presence.is_counted.replace(false) {
            self.word.fetch_sub(1, Ordering::Release);
        }
    }

    /// Puts the activity of this thread into the count, unless it is there.
    pub(crate) fn count_in(&self, presence: &Presence) -> Result<(), Barred> {
        if presence.is_counted.get() {
            return Ok(());
        }
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        if let Some(barred) = barred(before) {
            self.word.fetch_sub(1, Ordering::Release);
            return Err(barred);
        }
        presence.is_counted.set(true);
        Ok(())
    }

    /// Puts the activity of this thread into the count though the guard is barred. A thread that still waits for the others
    /// sees it.
    pub(crate) fn count_in_anyway(&self, presence: &Presence) {
        if !presence.is_counted.replace(true) {
            self.word.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// What bars the guard now.
    pub(crate) fn barred(&self) -> Option<Barred> {
        barred(self.word.load(Ordering::Acquire))
    }

    /// Wakes a refused task once the guard is open: now, if it is open already.
    pub(crate) fn wake_when_open(&self, waker: Waker) {
        {
            let mut refused = lock(&self.refused);
            if self.barred().is_some() {
                refused.push(waker);
                return;
            }
        }
        quietly(|| waker.wake());
    }

    /// Refuses every activity from now on.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Ends `close`.
    pub(crate) fn open(&self) {
        self.word.fetch_and(!CLOSED, Ordering::AcqRel);
        self.wake_refused();
    }

    /// Refuses every activity until `release`.
    pub(crate) fn hold(&self) {
        self.word.fetch_add(HELD, Ordering::AcqRel);
    }

    /// Ends one `hold`.
    pub(crate) fn release(&self) {
        self.word.fetch_sub(HELD, Ordering::AcqRel);
        self.wake_refused();
    }

    fn wake_refused(&self) {
        let refused = {
            let mut refused = lock(&self.refused);
            match self.barred() {
                None => std::mem::take(&mut *refused),
                Some(_) => return,
            }
        };
        for waker in refused {
            quietly(|| waker.wake());
        }
    }

    /// How many threads other than this one are active.
    pub(crate) fn others(&self, presence: &Presence) -> usize {
        (self.word.load(Ordering::Acquire) & COUNT).saturating_sub(presence.count())
    }

    /// Forgets the threads of the parent. In the child of a fork, which has one thread.
    pub(crate) fn start_over(&self, presence: &Presence) {
        self.word.store(presence.count(), Ordering::Release);
    }
}

fn barred(word: usize) -> Option<Barred> {
    if word & CLOSED != 0 {
        Some(Barred::Closed)
    } else if word & !COUNT != 0 {
        Some(Barred::Held)
    } else {
        None
    }
}

//! Counts the threads that run user code for this crate, and keeps them out while the process ends or forks.
//!
//! # Protocol
//!
//! 1. A thread [enters](Guard::enter) before it runs user code and [leaves](Guard::leave) after it. What it does in between is
//!    one *activity*. Entering again within an activity belongs to the same activity.
//! 2. One atomic word holds the number of active threads and the bars. To enter, a thread adds one, and the addition returns
//!    which bars were set before. Either the thread that sets a bar sees the activity in the count, or the entering thread sees
//!    the bar. Then it subtracts its one again and is refused.
//! 3. There are two bars. A *closed* guard (the process ends) refuses every activity until it [opens](Guard::open). A *held*
//!    guard (the process forks) refuses every activity until it is [released](Guard::release).
//! 4. A refused poll does not wait with user code on its stack. It leaves its waker with
//!    [`wake_when_open`](Guard::wake_when_open) and returns. The thread that lifts the last bar wakes every such waker. One
//!    lock guards the wakers, and both sides look at the bars under it. So no waker stays behind after the last bar is lifted.
//! 5. The thread that sets a bar waits, for a bounded time, until [no other thread](Guard::others) is active.
//! 6. A thread that only waits in the middle of an activity [pauses](Guard::pause) it. Nobody waits for a paused activity.
//! 7. A thread that is attached to the interpreter enters a held guard [uncounted](Guard::enter_uncounted). The fork needs the
//!    interpreter, so it cannot happen before this thread detaches. Before the thread runs user code detached, it [counts
//!    itself in](Guard::count_in).
//! 8. In the child of a fork, only the activity of the thread that forked is [counted](Guard::start_over).

use std::cell::Cell;
use std::task::Waker;

use super::cell::quietly;
use super::primitive::{AtomicUsize, Mutex, Ordering, lock};

/// The lower bits count the active threads.
const COUNT: usize = HELD - 1;
/// Added for each fork that is under way.
const HELD: usize = 1 << 16;
const CLOSED: usize = 1 << 31;

/// The number of active threads in a process, and the bars.
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

    /// Begins an activity that no bar stops and that is not counted.
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

    /// Takes the activity of this thread out of the count, while the thread waits. [`count_in`](Self::count_in) puts it back.
    pub(crate) fn pause(&self, presence: &Presence) {
        if presence.is_counted.replace(false) {
            self.word.fetch_sub(1, Ordering::Release);
        }
    }

    /// Puts the activity of this thread into the count, unless it is counted already. An error if a bar is set.
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

    /// Puts the activity of this thread into the count, whether a bar is set or not. A thread that set a bar and still waits
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

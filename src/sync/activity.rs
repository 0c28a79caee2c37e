//! The [`Guard`] of this process, and the activities of its threads.
//!
//! A thread begins an activity in one of these ways. They differ in what happens while a bar is set:
//!
//! | | called by | while the process ends | while the process forks |
//! | --- | --- | --- | --- |
//! | [`enter_poll`](Activity::enter_poll) | a task, before a poll | refuses, and wakes the task later | the same |
//! | [`enter_when_open`](Activity::enter_when_open) | our helper thread, detached | waits | waits |
//! | [`enter_anyway`](Activity::enter_anyway) | drops, and the start of a runtime | enters, counted | enters, counted |
//! | [`enter_attached`](Activity::enter_attached) | attached threads | refuses | enters, uncounted |
//!
//! The thread that ends the process may always enter as an attached thread.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::generation::PerProcess;
use super::guard::{Barred, Guard, Presence};

/// The time between two looks of a thread that waits for the activities of others.
const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// How often it looks at least. A look may take long, because other threads compete for the processors and for the interpreter.
/// It looks no more often because the Python code of another loop may be an activity, and each look then waits for that code.
pub(crate) const LOOKS: u32 = 50;
/// The time between two looks of a thread that rests because the process ends.
const REST: Duration = Duration::from_millis(1);

#[derive(Default)]
struct OfProcess(LazyLock<Guard>);

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the process ends what its threads wait for.
static GAVE_UP_WAITS: AtomicBool = AtomicBool::new(false);

static GUARD: PerProcess<OfProcess> = PerProcess::new(OfProcess(LazyLock::new(Guard::new)));

fn guard() -> &'static Guard {
    &GUARD.get().0
}

thread_local! {
    static PRESENCE: Presence = const { Presence::new() };
    /// This thread closed the guard: it runs the end of the process.
    static ENDS_PROCESS: Cell<bool> = const { Cell::new(false) };
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

/// An activity of this thread, until it is dropped.
#[must_use = "the activity ends when this is dropped"]
pub(crate) struct Activity(PhantomData<*const ()>);

impl Drop for Activity {
    fn drop(&mut self) {
        PRESENCE.with(|presence| guard().leave(presence));
    }
}

impl Activity {
    /// Begins an activity, or returns the bar that refuses it.
    pub(crate) fn enter() -> Result<Self, Barred> {
        PRESENCE.with(|presence| guard().enter(presence))?;
        Ok(Self(PhantomData))
    }

    /// Begins the activity of a poll. `None` while the process ends or forks. The task is then woken when that is over.
    pub(crate) fn enter_poll(waker: &Waker) -> Option<Self> {
        Self::enter()
            .map_err(|_| guard().wake_when_open(waker.clone()))
            .ok()
    }

    /// Begins an activity, after it has waited until no bar is set. Called detached, by a thread of this crate.
    pub(crate) fn enter_when_open() -> Self {
        loop {
            match Self::enter() {
                Ok(activity) => return activity,
                Err(Barred::Closed) => rest_while_closed(),
                Err(Barred::Held) => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Begins an activity that cannot wait, whether a bar is set or not.
    pub(crate) fn enter_anyway() -> Self {
        PRESENCE.with(|presence| {
            guard().count_in_anyway(presence);
            guard().enter_uncounted(presence);
        });
        Self(PhantomData)
    }

    /// Begins the activity of a thread that is attached to the interpreter.
    ///
    /// An error if another thread ends the process. The caller must then detach and [rest](rest_while_closed).
    pub(crate) fn enter_attached() -> Result<Self, Barred> {
        match Self::enter() {
            Err(Barred::Closed) if !ENDS_PROCESS.get() => Err(Barred::Closed),
            // The fork waits for the interpreter, which this thread has.
            Err(_) => {
                PRESENCE.with(|presence| guard().enter_uncounted(presence));
                Ok(Self(PhantomData))
            }
            entered => entered,
        }
    }
}

/// Waits while the process ends: for ever, unless the process goes on after all. Called detached.
pub(crate) fn rest_while_closed() {
    while guard().barred() == Some(Barred::Closed) {
        thread::sleep(REST);
    }
}

/// Puts the current activity of this thread into the count, unless it is counted already. Waits for a fork that is under way,
/// and rests if another thread ends the process. Called detached.
pub(crate) fn count_in() {
    PRESENCE.with(|presence| {
        while let Err(barred) = guard().count_in(presence) {
            match barred {
                Barred::Closed if ENDS_PROCESS.get() => return,
                Barred::Closed => rest_while_closed(),
                Barred::Held => thread::sleep(LOOK_AGAIN),
            }
        }
    });
}

/// Waits for something in the middle of an activity, detached. Neither exit nor fork waits for this thread meanwhile.
pub(crate) fn pause<R>(wait: impl FnOnce() -> R) -> R {
    PRESENCE.with(|presence| guard().pause(presence));
    let result = wait();
    count_in();
    result
}

/// Lets every other thread that calls [`rest_if_given_up`] rest from now on, until this thread opens the guard.
pub(crate) fn give_up_waits() {
    ENDS_PROCESS.set(true);
    GAVE_UP_WAITS.store(true, Ordering::Relaxed);
}

/// Rests if the process ends, and has ended what this thread waited for. Called detached.
pub(crate) fn rest_if_given_up() {
    while GAVE_UP_WAITS.load(Ordering::Relaxed) && !ENDS_PROCESS.get() {
        pause(|| thread::sleep(REST));
    }
}

/// Closes the guard: refuses activities from now on, except those of this thread, which ends the process.
pub(crate) fn close() {
    ENDS_PROCESS.set(true);
    guard().close();
}

/// Ends `close`, if this thread closed the guard.
pub(crate) fn open_if_closed_here() {
    if ENDS_PROCESS.replace(false) {
        GAVE_UP_WAITS.store(false, Ordering::Relaxed);
        guard().open();
    }
}

/// Whether this thread closed the guard.
pub(crate) fn ends_process() -> bool {
    ENDS_PROCESS.get()
}

/// Holds the guard: refuses activities until this thread calls [`release`].
pub(crate) fn hold() {
    if !HOLDS.replace(true) {
        guard().hold();
    }
}

/// Ends [`hold`]. Does nothing if the hooks were registered in the middle of a fork, because this thread then holds nothing.
pub(crate) fn release() {
    if HOLDS.replace(false) {
        guard().release();
    }
}

/// Whether no other thread is active.
pub(crate) fn is_alone() -> bool {
    PRESENCE.with(|presence| guard().others(presence)) == 0
}

/// How long a thread waits for others. Measured by the clock alone, the others may get no processor in that time.
pub(crate) struct Patience {
    deadline: Instant,
    looks_left: u32,
}

impl Patience {
    /// Lasts for this time, and for [`LOOKS`] looks.
    pub(crate) fn new(at_least: Duration) -> Self {
        Self {
            deadline: Instant::now() + at_least,
            looks_left: LOOKS,
        }
    }

    /// Lets other threads go on for a moment. False if the patience is over. Called detached.
    pub(crate) fn look_again(&mut self) -> bool {
        if self.looks_left == 0 && Instant::now() >= self.deadline {
            return false;
        }
        self.looks_left = self.looks_left.saturating_sub(1);
        thread::sleep(LOOK_AGAIN);
        true
    }
}

/// Forgets the threads of the parent, in the child of a fork.
pub(super) fn start_over() {
    HOLDS.set(false);
    ENDS_PROCESS.set(false);
    GAVE_UP_WAITS.store(false, Ordering::Relaxed);
    PRESENCE.with(|presence| guard().start_over(presence));
}

//! How the outcome of a Python task reaches the one Rust future that awaits it. `T` is the task, `R` its outcome.
//!
//! # Protocol
//!
//! 1. A task is `Posted` while the job that starts it is under way, then `Running`, then `Done`, then `Over`. It may be `Done`
//!    straight from `Posted`.
//! 2. The loop's thread calls `finish` when the task ends, and once more when the loop closes. The first call counts, and
//!    wakes the future.
//! 3. An outcome goes to exactly one caller: to `poll`, to `give_up`, `detach` or `convert` if it was there by then, or back out of
//!    `finish` if it came later. An error is not lost.
//! 4. `give_up` tells whether a task runs that has to be cancelled. If the task is only being started, `started` tells so to
//!    the caller that starts it. So exactly one of the two cancels the task, and `cancel` gives it out once: the end of a loop
//!    cancels every task as well.
//! 5. A task goes in and out only in `started` and `finish`, which attached threads call. The garbage collector looks at the
//!    task, and must find the same in every phase of a collection.
//! 6. Tasks and outcomes are dropped without the lock.

use std::task::{Poll, Waker};

use super::cell::{Then, WakerCell};

pub(crate) struct Handoff<T, R>(WakerCell<State<T, R>>);

struct State<T, R> {
    stage: Stage<T, R>,
    interest: Interest,
    is_cancelled: bool,
}

enum Stage<T, R> {
    Posted,
    Running(T),
    Done(R),
    /// Somebody has the outcome, or nobody wants it any more.
    Over,
}

/// What the Rust side wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// The outcome.
    Outcome,
    /// The outcome, which the caller of `finish` converts first.
    Conversion,
    /// That the task goes on, unobserved.
    Progress,
    /// That the task ends.
    Nothing,
}

/// What the Rust future leaves behind.
#[derive(Debug)]
#[must_use = "a task has to be cancelled, and an outcome may be an error"]
pub(crate) enum GivenUp<R> {
    Nothing,
    /// A task that has to be cancelled.
    Task,
    /// An outcome that nobody has seen.
    Outcome(R),
}

impl<T, R> State<T, R> {
    fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Done(_) | Stage::Over)
    }

    fn take_outcome(&mut self) -> Option<R> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Done(outcome) => Some(outcome),
            other => {
                self.stage = other;
                None
            }
        }
    }
}

impl<T, R> Handoff<T, R> {
    pub(crate) fn new() -> Self {
        Self(WakerCell::new(State {
            stage: Stage::Posted,
            interest: Interest::Outcome,
            is_cancelled: false,
        }))
    }

    pub(crate) fn interest(&self) -> Interest {
        self.0.lock().interest
    }

    /// Whether the outcome is there, or was taken.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.lock().is_finished()
    }

    /// Lets the task go on unobserved. Gives the outcome if it is there already.
    #[must_use = "an outcome that comes back may be an error"]
    pub(crate) fn detach(&self) -> Option<R> {
        self.0.change(|state| {
            if state.interest != Interest::Outcome {
                return (None, [Then::Keep]);
            }
            state.interest = Interest::Progress;
            (state.take_outcome(), [Then::Forget])
        })
    }

    /// Has `finish` give the outcome back, to be converted. Gives the outcome if it is there already.
    #[must_use = "an outcome that comes back has to be converted"]
    pub(crate) fn convert(&self) -> Option<R> {
        self.0.change(|state| {
            state.interest = Interest::Conversion;
            (state.take_outcome(), [Then::Forget])
        })
    }

    /// Takes the outcome, or leaves a waker for `finish`.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<R> {
        let look = |state: &mut State<T, R>| state.is_finished().then(|| state.take_outcome());
        let outcome = self.0.poll(0, waker, look);
        outcome.map(|outcome| outcome.expect("a future is not polled again after it was done"))
    }

    /// The task runs. Tells whether the caller has to cancel it, because it was given up while it was started.
    #[must_use = "a task that was given up has to be cancelled"]
    pub(crate) fn started(&self, task: T) -> bool {
        let mut state = self.0.lock();
        let is_given_up = state.interest == Interest::Nothing;
        let refused = match state.stage {
            Stage::Posted if !is_given_up => {
                state.stage = Stage::Running(task);
                None
            }
            _ => Some(task),
        };
        drop(state);
        drop(refused);
        is_given_up
    }

    /// Runs `copy` on the running task, for the caller to cancel the copy. `None` if it does not run, or was cancelled before.
    pub(crate) fn cancel<O>(&self, copy: impl FnOnce(&T) -> O) -> Option<O> {
        let mut state = self.0.lock();
        match &state.stage {
            Stage::Running(task) if !state.is_cancelled => {
                let task = copy(task);
                state.is_cancelled = true;
                Some(task)
            }
            _ => None,
        }
    }

    /// Brings the outcome. Gives it back if nobody will take it.
    #[must_use = "an outcome that comes back may be an error"]
    pub(crate) fn finish(&self, outcome: R) -> Option<R> {
        let (refused, stage) = self.0.change(|state| {
            if state.is_finished() {
                return ((Some(outcome), None), [Then::Keep]);
            }
            let (next, refused) = match state.interest {
                Interest::Outcome => (Stage::Done(outcome), None),
                Interest::Conversion | Interest::Progress | Interest::Nothing => {
                    (Stage::Over, Some(outcome))
                }
            };
            let stage = std::mem::replace(&mut state.stage, next);
            ((refused, Some(stage)), [Then::Wake])
        });
        drop(stage);
        refused
    }

    /// The Rust future is gone.
    pub(crate) fn give_up(&self) -> GivenUp<R> {
        self.0.change(|state| {
            if state.interest == Interest::Progress {
                return (GivenUp::Nothing, [Then::Keep]);
            }
            state.interest = Interest::Nothing;
            let left = match state.stage {
                Stage::Running(_) => GivenUp::Task,
                _ => state
                    .take_outcome()
                    .map_or(GivenUp::Nothing, GivenUp::Outcome),
            };
            (left, [Then::Forget])
        })
    }

    /// Runs `look` on the task if it runs, with the handoff locked. For the garbage collector.
    pub(crate) fn with_task<O>(&self, look: impl FnOnce(&T) -> O) -> Option<O> {
        match &self.0.lock().stage {
            Stage::Running(task) => Some(look(task)),
            _ => None,
        }
    }
}

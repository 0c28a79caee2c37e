//! How the outcome of a Python task reaches the one Rust future that awaits it. `T` is the task, `R` its outcome.
//!
//! # Protocol
//!
//! 1. A task is `Posted` while the job that starts it is queued. Then it is `Running`. It is `Done` while its outcome waits for
//!    the Rust future, and `Over` once the outcome is taken or nobody wants it. `Running` and `Done` may be skipped.
//! 2. `finish` brings the outcome. It is called when the task ends, and again when the loop closes. The first call counts, and
//!    wakes the Rust future. Later calls return their outcome.
//! 3. Each outcome goes to exactly one caller, so that no error is lost. An outcome that is there goes to the next call of
//!    `poll`, `detach`, `convert` or `give_up`. After `detach`, `convert` or `give_up`, `finish` returns the outcome to its
//!    caller.
//! 4. The caller of `give_up` has to cancel a task that has not ended, with [`GivenUp::Task`]. It does so after the job that
//!    starts the task, which may be running just then. A job that comes later finds the interest gone, and starts nothing.
//! 5. `cancel` gives the task out once. A loop that ends cancels its tasks too, and a second cancellation would interrupt a
//!    task that cleans up.
//! 6. Only `started` stores the task and only `finish` takes it out. A thread that does either is attached. The garbage
//!    collector looks at the task, and must find the same in every phase of a collection.
//! 7. Tasks and outcomes are dropped without the lock.

use std::task::{Poll, Waker};

use super::cell::{WakerAction, WakerCell};

/// The text of the panic if an outcome is taken twice.
pub(crate) const POLLED_AGAIN: &str = "a future is not polled again after it was done";

pub(crate) struct Handoff<T, R>(WakerCell<HandoffState<T, R>>);

struct HandoffState<T, R> {
    stage: Stage<T, R>,
    interest: Interest,
    is_cancelled: bool,
}

enum Stage<T, R> {
    Posted,
    Running(T),
    Done(R),
    /// The outcome was taken, or nobody wants it any more.
    Over,
}

/// What the Rust side wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// The outcome.
    Outcome,
    /// The outcome, after the caller of `finish` has converted it.
    Conversion,
    /// Only that the task goes on.
    Detached,
    /// That the task ends.
    Nothing,
}

/// What the Rust future leaves behind.
#[derive(Debug)]
#[must_use = "a task has to be cancelled, and an outcome may be an error"]
pub(crate) enum GivenUp<R> {
    Nothing,
    /// A task that has to be cancelled, if it is started.
    Task,
    /// An outcome that nobody has seen.
    Outcome(R),
}

impl<T, R> HandoffState<T, R> {
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
        Self(WakerCell::new(HandoffState {
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

    /// Lets the task go on without the Rust future. Returns the outcome if it is there already.
    #[must_use = "an outcome that comes back may be an error"]
    pub(crate) fn detach(&self) -> Option<R> {
        self.0.change(|state| {
            if state.interest != Interest::Outcome {
                return (None, [WakerAction::Keep]);
            }
            state.interest = Interest::Detached;
            (state.take_outcome(), [WakerAction::Forget])
        })
    }

    /// Lets `finish` return the outcome to its caller, which converts it. Returns the outcome if it is there already.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    #[must_use = "an outcome that comes back has to be converted"]
    pub(crate) fn convert(&self) -> Option<R> {
        let (was_taken, outcome) = self.0.change(|state| {
            let was_taken = matches!(state.stage, Stage::Over);
            state.interest = Interest::Conversion;
            ((was_taken, state.take_outcome()), [WakerAction::Forget])
        });
        assert!(!was_taken, "{POLLED_AGAIN}");
        outcome
    }

    /// Takes the outcome, or leaves a waker for `finish`.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<R> {
        let look =
            |state: &mut HandoffState<T, R>| state.is_finished().then(|| state.take_outcome());
        let outcome = self.0.poll(0, waker, look);
        outcome.map(|outcome| outcome.expect(POLLED_AGAIN))
    }

    /// The task runs.
    pub(crate) fn started(&self, task: T) {
        let mut state = self.0.lock();
        let refused = match state.stage {
            Stage::Posted => {
                state.stage = Stage::Running(task);
                None
            }
            _ => Some(task),
        };
        drop(state);
        drop(refused);
    }

    /// Copies the running task with `copy`, for the caller to cancel. `None` if no task runs, or if it was cancelled before.
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

    /// Whether `cancel` has given the task out.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.lock().is_cancelled
    }

    /// Brings the outcome. Returns it if the Rust future will not take it.
    #[must_use = "an outcome that comes back may be an error"]
    pub(crate) fn finish(&self, outcome: R) -> Option<R> {
        let (refused, stage) = self.0.change(|state| {
            if state.is_finished() {
                return ((Some(outcome), None), [WakerAction::Keep]);
            }
            let (next, refused) = match state.interest {
                Interest::Outcome => (Stage::Done(outcome), None),
                Interest::Conversion | Interest::Detached | Interest::Nothing => {
                    (Stage::Over, Some(outcome))
                }
            };
            let stage = std::mem::replace(&mut state.stage, next);
            ((refused, Some(stage)), [WakerAction::Wake])
        });
        drop(stage);
        refused
    }

    /// The Rust future is gone. Returns what it leaves behind.
    pub(crate) fn give_up(&self) -> GivenUp<R> {
        self.0.change(|state| {
            if state.interest == Interest::Detached {
                return (GivenUp::Nothing, [WakerAction::Keep]);
            }
            state.interest = Interest::Nothing;
            let left = match state.stage {
                Stage::Posted | Stage::Running(_) => GivenUp::Task,
                Stage::Done(_) | Stage::Over => state
                    .take_outcome()
                    .map_or(GivenUp::Nothing, GivenUp::Outcome),
            };
            (left, [WakerAction::Forget])
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

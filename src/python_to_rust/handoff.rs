//! How the outcome of a Python task reaches the one Rust future that awaits it.
//!
//! Knows nothing of Python: `T` is the task, `R` its outcome.
//!
//! # Protocol
//!
//! 1. The stages follow each other: `Posted` (the job that starts the task is under way), `Running`, `Done`, `Over`. A task
//!    may be `Done` straight from `Posted`.
//! 2. `finish` brings the outcome, on the loop's thread, and wakes the waker that the last poll left. It is called once, or
//!    once more when the loop closes: the first call counts.
//! 3. `poll` takes the outcome or leaves a waker, and looks again after it has left it, since it let go of the lock in
//!    between to clone the waker: a `finish` in that gap is not missed.
//! 4. `give_up` (the Rust future was dropped) says whether there is a running task to cancel. Who cancels it takes it out with
//!    `take_task`. If the task is only being started then, `started` says so to the starter, who cancels it. Either way
//!    exactly one of the two is told to.
//! 5. A task goes in and out only in `started`, `take_task` and `finish`, which are called on attached threads: the garbage
//!    collector looks at it in between, and must not miss in one phase of a collection what it saw in another.
//! 6. An outcome goes to exactly one: it is taken by `poll`, or comes out of `give_up` or `detach` if it was there by then, or
//!    out of `finish` if it came later. An error must not be lost.
//! 7. Wakers, tasks and outcomes are dropped, and wakers woken, without the lock.

use std::task::{Poll, Waker};

use crate::error::{Quiet, quietly};
use crate::primitive::{Mutex, MutexGuard, lock};

pub(super) struct Handoff<T, R>(Mutex<State<T, R>>);

struct State<T, R> {
    stage: Stage<T, R>,
    interest: Interest,
    waker: Option<Waker>,
}

enum Stage<T, R> {
    Posted,
    Running(T),
    Done(R),
    /// The outcome went to who awaited it, or nobody wants it any more.
    Over,
}

/// What the Rust side wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// The outcome.
    Outcome,
    /// That the task goes on, unobserved.
    Progress,
    /// That the task ends.
    Nothing,
}

impl<T, R> Handoff<T, R> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            stage: Stage::Posted,
            interest: Interest::Outcome,
            waker: None,
        }))
    }

    pub(super) fn interest(&self) -> Interest {
        lock(&self.0).interest
    }

    /// Lets the task go on unobserved. Gives the outcome if it is there already.
    #[must_use = "an outcome that comes back may be an error"]
    pub(super) fn detach(&self) -> Option<R> {
        let mut state = lock(&self.0);
        if state.interest != Interest::Outcome {
            return None;
        }
        state.interest = Interest::Progress;
        take_outcome(state).ok().flatten()
    }

    /// Takes the outcome, or leaves a waker for `finish`.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<R> {
        let state = match take_outcome(lock(&self.0)) {
            Ok(outcome) => return Poll::Ready(outcome.expect(POLLED_AGAIN)),
            Err(state) => state,
        };
        if state.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(state);
        let waker = waker.clone();
        let mut state = lock(&self.0);
        let previous = state.waker.replace(waker);
        match take_outcome(state) {
            Ok(outcome) => Poll::Ready(outcome.expect(POLLED_AGAIN)),
            Err(state) => {
                drop(state);
                drop(previous.map(Quiet::new));
                Poll::Pending
            }
        }
    }

    /// The task runs. On an attached thread. Whether it is to be cancelled, as it was given up while it was started.
    #[must_use = "a task that was given up is to be cancelled"]
    pub(super) fn started(&self, task: T) -> bool {
        let mut state = lock(&self.0);
        let given_up = state.interest == Interest::Nothing;
        let refused = match state.stage {
            Stage::Posted if !given_up => {
                state.stage = Stage::Running(task);
                None
            }
            _ => Some(task),
        };
        drop(state);
        drop(refused);
        given_up
    }

    /// Takes the running task out, to cancel it. On an attached thread.
    pub(super) fn take_task(&self) -> Option<T> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::Running(task) => Some(task),
            other => {
                state.stage = other;
                None
            }
        }
    }

    /// The outcome is there. On an attached thread, if a task runs. Gives it back if nobody will take it.
    #[must_use = "an outcome that comes back may be an error"]
    pub(super) fn finish(&self, outcome: R) -> Option<R> {
        let mut state = lock(&self.0);
        let (next, refused) = match (&state.stage, state.interest) {
            (Stage::Done(_) | Stage::Over, _) => return Some(outcome),
            (_, Interest::Outcome) => (Stage::Done(outcome), None),
            (_, Interest::Progress | Interest::Nothing) => (Stage::Over, Some(outcome)),
        };
        let stage = std::mem::replace(&mut state.stage, next);
        let waker = state.waker.take();
        drop(state);
        drop(stage);
        if let Some(waker) = waker {
            // The user's code: its panic must not keep the loop from telling others.
            quietly(|| waker.wake());
        }
        refused
    }

    /// The Rust future is gone.
    pub(super) fn give_up(&self) -> GivenUp<R> {
        let mut state = lock(&self.0);
        if state.interest == Interest::Progress {
            return GivenUp::Nothing;
        }
        state.interest = Interest::Nothing;
        let waker = state.waker.take().map(Quiet::new);
        let given_up = match state.stage {
            Stage::Running(_) => GivenUp::Task,
            Stage::Posted => GivenUp::Nothing,
            Stage::Done(_) | Stage::Over => {
                let outcome = take_outcome(state).ok().flatten();
                return outcome.map_or(GivenUp::Nothing, GivenUp::Outcome);
            }
        };
        drop(state);
        drop(waker);
        given_up
    }

    /// Runs `look` on the task if it runs. For the garbage collector.
    pub(super) fn with_task<O>(&self, look: impl FnOnce(&T) -> O) -> Option<O> {
        match &lock(&self.0).stage {
            Stage::Running(task) => Some(look(task)),
            _ => None,
        }
    }
}

/// What the Rust future leaves behind.
#[must_use = "a task is to be cancelled, and an outcome may be an error"]
pub(super) enum GivenUp<R> {
    Nothing,
    /// A task that is to be cancelled.
    Task,
    /// An outcome that nobody has seen.
    Outcome(R),
}

const POLLED_AGAIN: &str = "a future is not polled again after it was done";

/// The outcome, if it is there: `None` if it was taken before. The lock again, if it is still to come.
fn take_outcome<T, R>(
    mut state: MutexGuard<'_, State<T, R>>,
) -> Result<Option<R>, MutexGuard<'_, State<T, R>>> {
    match state.stage {
        Stage::Posted | Stage::Running(_) => Err(state),
        Stage::Done(_) | Stage::Over => match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::Done(outcome) => Ok(Some(outcome)),
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use super::*;
    use crate::primitive::models::{counting_waker, model, thread};

    /// Does something to a handoff, whose task runs, in another thread.
    fn in_a_thread(
        handoff: &Arc<Handoff<(), u8>>,
        act: fn(&Handoff<(), u8>) -> Option<u8>,
    ) -> thread::JoinHandle<Option<u8>> {
        assert!(!handoff.started(()));
        let handoff = Arc::clone(handoff);
        thread::spawn(move || act(&handoff))
    }

    #[test]
    fn loom_an_outcome_is_seen_or_wakes_the_poller() {
        model(|| {
            let (waker, wakes) = counting_waker();
            let handoff = Arc::new(Handoff::<(), u8>::new());
            let finisher = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || {
                    assert!(!handoff.started(()));
                    assert_eq!(handoff.finish(1), None);
                    assert_eq!(handoff.finish(2), Some(2));
                })
            };
            let polled = handoff.poll(&waker);
            finisher.join().unwrap();
            match polled {
                Poll::Ready(outcome) => assert_eq!(outcome, 1),
                Poll::Pending => {
                    assert_eq!(wakes.count(), 1);
                    assert_eq!(handoff.poll(&waker), Poll::Ready(1));
                }
            }
        });
    }

    #[test]
    fn loom_a_new_waker_takes_the_place_of_the_old_one() {
        model(|| {
            let (old, _) = counting_waker();
            let (new, wakes) = counting_waker();
            let handoff = Arc::new(Handoff::<(), u8>::new());
            assert!(handoff.poll(&old).is_pending());
            let finisher = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || assert_eq!(handoff.finish(1), None))
            };
            let polled = handoff.poll(&new);
            finisher.join().unwrap();
            if polled.is_pending() {
                assert_eq!(wakes.count(), 1);
            }
        });
    }

    #[test]
    fn loom_a_task_that_is_given_up_is_cancelled_once() {
        model(|| {
            let handoff = Arc::new(Handoff::<&str, u8>::new());
            let starter = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || handoff.started("task"))
            };
            let by_the_dropper = matches!(handoff.give_up(), GivenUp::Task);
            let by_the_starter = starter.join().unwrap();
            assert!(by_the_dropper ^ by_the_starter);
            assert_eq!(handoff.take_task().is_some(), by_the_dropper);
        });
    }

    #[test]
    fn loom_an_outcome_is_taken_or_comes_out_once() {
        model(|| {
            let (waker, _) = counting_waker();
            let handoff = Arc::new(Handoff::<(), u8>::new());
            let finisher = in_a_thread(&handoff, |handoff| handoff.finish(1));
            let taken = match handoff.poll(&waker) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            };
            let given_up = match handoff.give_up() {
                GivenUp::Outcome(outcome) => Some(outcome),
                GivenUp::Task | GivenUp::Nothing => None,
            };
            let refused = finisher.join().unwrap();
            let outcomes = [taken, given_up, refused];
            assert_eq!(Vec::from_iter(outcomes.iter().flatten()), [&1]);
        });
    }

    #[test]
    fn loom_an_outcome_of_a_detached_task_comes_out_once() {
        model(|| {
            let handoff = Arc::new(Handoff::<(), u8>::new());
            let finisher = in_a_thread(&handoff, |handoff| handoff.finish(1));
            let detached = handoff.detach();
            assert!(matches!(handoff.give_up(), GivenUp::Nothing));
            let outcomes = [detached, finisher.join().unwrap()];
            assert_eq!(Vec::from_iter(outcomes.iter().flatten()), [&1]);
        });
    }
}

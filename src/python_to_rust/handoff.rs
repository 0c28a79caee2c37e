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
//! 4. `give_up` (the Rust future was dropped) gives the running task back, to be cancelled. If the task is only being
//!    started then, `started` gives it back to the starter, who cancels it. Either way exactly one of the two gets it.
//! 5. Wakers, tasks and outcomes are dropped, and wakers woken, without the lock.

use std::task::{Poll, Waker};

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

    pub(super) fn detach(&self) {
        let mut state = lock(&self.0);
        if state.interest == Interest::Outcome {
            state.interest = Interest::Progress;
        }
    }

    /// Takes the outcome, or leaves a waker for `finish`.
    ///
    /// # Panics
    ///
    /// If the outcome was taken before.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<R> {
        let state = match take_outcome(lock(&self.0)) {
            Ok(outcome) => return Poll::Ready(outcome),
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
            Ok(outcome) => Poll::Ready(outcome),
            Err(state) => {
                drop(state);
                drop(previous);
                Poll::Pending
            }
        }
    }

    /// The task runs. Gives it back if it was given up while it was started.
    #[must_use = "a task that comes back is to be cancelled"]
    pub(super) fn started(&self, task: T) -> Option<T> {
        let mut state = lock(&self.0);
        match (&state.stage, state.interest) {
            (Stage::Posted, Interest::Outcome | Interest::Progress) => {
                state.stage = Stage::Running(task);
                None
            }
            _ => Some(task),
        }
    }

    /// The outcome is there.
    pub(super) fn finish(&self, outcome: R) {
        let mut state = lock(&self.0);
        let next = match (&state.stage, state.interest) {
            (Stage::Done(_) | Stage::Over, _) => return,
            (_, Interest::Outcome) => Stage::Done(outcome),
            (_, Interest::Progress | Interest::Nothing) => Stage::Over,
        };
        let stage = std::mem::replace(&mut state.stage, next);
        let waker = state.waker.take();
        drop(state);
        drop(stage);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The Rust future is gone. Gives the task to be cancelled, if it runs and was not detached.
    #[must_use = "a task that comes back is to be cancelled"]
    pub(super) fn give_up(&self) -> Option<T> {
        let mut state = lock(&self.0);
        if state.interest == Interest::Progress {
            return None;
        }
        state.interest = Interest::Nothing;
        let stage = match state.stage {
            Stage::Posted => None,
            _ => Some(std::mem::replace(&mut state.stage, Stage::Over)),
        };
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        match stage {
            Some(Stage::Running(task)) => Some(task),
            _ => None,
        }
    }

    /// Runs `look` on the task if it runs, unless somebody holds the lock right now. For the garbage collector.
    pub(super) fn try_with_task<O>(&self, look: impl FnOnce(&T) -> O) -> Option<O> {
        let state = self.0.try_lock().ok()?;
        match &state.stage {
            Stage::Running(task) => Some(look(task)),
            _ => None,
        }
    }
}

fn take_outcome<T, R>(
    mut state: MutexGuard<'_, State<T, R>>,
) -> Result<R, MutexGuard<'_, State<T, R>>> {
    match state.stage {
        Stage::Done(_) => match std::mem::replace(&mut state.stage, Stage::Over) {
            Stage::Done(outcome) => Ok(outcome),
            _ => unreachable!("it was done a line above, under the same lock"),
        },
        Stage::Over => panic!("a future was polled after it was done"),
        Stage::Posted | Stage::Running(_) => Err(state),
    }
}

#[cfg(all(test, pyo3_asyncio_loom))]
mod loom_models {
    use std::sync::Arc;
    use std::task::Wake;

    use loom::{sync::atomic::AtomicUsize, sync::atomic::Ordering::SeqCst, thread};

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn counting_waker() -> (Waker, Arc<Count>) {
        let wakes = Arc::new(Count(AtomicUsize::new(0)));
        (Waker::from(Arc::clone(&wakes)), wakes)
    }

    #[test]
    fn loom_an_outcome_is_seen_or_wakes_the_poller() {
        loom::model(|| {
            let (waker, wakes) = counting_waker();
            let handoff = Arc::new(Handoff::<(), u8>::new());
            let finisher = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || {
                    assert!(handoff.started(()).is_none());
                    handoff.finish(1);
                    handoff.finish(2);
                })
            };
            let polled = handoff.poll(&waker);
            finisher.join().unwrap();
            match polled {
                Poll::Ready(outcome) => assert_eq!(outcome, 1),
                Poll::Pending => {
                    assert_eq!(wakes.0.load(SeqCst), 1);
                    assert_eq!(handoff.poll(&waker), Poll::Ready(1));
                }
            }
        });
    }

    #[test]
    fn loom_a_new_waker_takes_the_place_of_the_old_one() {
        loom::model(|| {
            let (old, _) = counting_waker();
            let (new, wakes) = counting_waker();
            let handoff = Arc::new(Handoff::<(), u8>::new());
            assert!(handoff.poll(&old).is_pending());
            let finisher = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || handoff.finish(1))
            };
            let polled = handoff.poll(&new);
            finisher.join().unwrap();
            if polled.is_pending() {
                assert_eq!(wakes.0.load(SeqCst), 1);
            }
        });
    }

    #[test]
    fn loom_a_task_that_is_given_up_is_cancelled_once_unless_it_is_done() {
        loom::model(|| {
            let handoff = Arc::new(Handoff::<&str, u8>::new());
            let starter = {
                let handoff = Arc::clone(&handoff);
                thread::spawn(move || handoff.started("task"))
            };
            let given_up = handoff.give_up();
            let given_back = starter.join().unwrap();
            assert!(given_up.is_some() ^ given_back.is_some());
        });
    }

    #[test]
    fn loom_giving_up_while_the_task_ends_leaves_nothing_behind() {
        loom::model(|| {
            let outcome = Arc::new(());
            let handoff = Arc::new(Handoff::<(), Arc<()>>::new());
            assert!(handoff.started(()).is_none());
            let finisher = {
                let (handoff, outcome) = (Arc::clone(&handoff), Arc::clone(&outcome));
                thread::spawn(move || handoff.finish(outcome))
            };
            let _ = handoff.give_up();
            finisher.join().unwrap();
            assert_eq!(Arc::strong_count(&outcome), 1);
        });
    }
}

use std::sync::Arc;
use std::task::Poll;

use loom::model;

use crate::sync::handoff::{GivenUp, Handoff, Interest};
use crate::{counting_waker, spawn};

fn running() -> Arc<Handoff<(), u8>> {
    let handoff = Arc::new(Handoff::new());
    handoff.started(());
    handoff
}

/// The outcome that is with the Rust side when it gives up.
fn unseen(given_up: GivenUp<u8>) -> Option<u8> {
    match given_up {
        GivenUp::Outcome(outcome) => Some(outcome),
        GivenUp::Task | GivenUp::Nothing => None,
    }
}

fn assert_once(outcomes: impl IntoIterator<Item = Option<u8>>) {
    assert_eq!(Vec::from_iter(outcomes.into_iter().flatten()), [1]);
}

#[test]
fn an_outcome_is_seen_or_wakes_the_future_and_the_first_counts() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let handoff = Arc::new(Handoff::<(), u8>::new());
        let finishing = spawn(&handoff, |handoff| {
            handoff.started(());
            assert_eq!(handoff.finish(1), None);
            assert_eq!(handoff.finish(2), Some(2));
        });
        let polled = handoff.poll(&waker);
        finishing.join().unwrap();
        match polled {
            Poll::Ready(outcome) => assert_eq!(outcome, 1),
            Poll::Pending => {
                assert_eq!(wakes.count(), 1);
                assert_eq!(handoff.poll(&waker), Poll::Ready(1));
            }
        }
        assert!(wakes.has_one_waker());
    });
}

#[test]
fn a_task_that_is_given_up_while_it_starts_is_cancelled_once_or_never_starts() {
    model(|| {
        let handoff = Arc::new(Handoff::<&str, u8>::new());
        let starting = spawn(&handoff, |handoff| {
            let starts = handoff.interest() != Interest::Nothing;
            if starts {
                handoff.started("task");
            }
            starts
        });
        assert!(matches!(handoff.give_up(), GivenUp::Task));
        let starts = starting.join().unwrap();
        assert_eq!(handoff.cancel(|_| ()).is_some(), starts);
        assert!(handoff.cancel(|_| ()).is_none());
        // The loop finds it when it closes.
        assert_eq!(handoff.with_task(|_| ()).is_some(), starts);
    });
}

#[test]
fn a_task_that_is_given_up_is_cancelled_unless_it_has_ended() {
    model(|| {
        let task = Arc::new(());
        let handoff = Arc::new(Handoff::new());
        handoff.started(Arc::clone(&task));
        let finishing = spawn(&handoff, |handoff| handoff.finish(1));
        let given_up = handoff.give_up();
        let is_running = matches!(given_up, GivenUp::Task);
        let taken = handoff.cancel(Arc::clone);
        let refused = finishing.join().unwrap();
        assert!(is_running || taken.is_none());
        // The loop reports an error of a task that nobody awaits any more.
        assert_once([unseen(given_up), refused]);
        drop(taken);
        assert_eq!(Arc::strong_count(&task), 1);
    });
}

#[test]
fn an_outcome_is_taken_or_comes_out_once() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let handoff = running();
        let finishing = spawn(&handoff, |handoff| handoff.finish(1));
        let taken = match handoff.poll(&waker) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        };
        let given_up = unseen(handoff.give_up());
        let woken = wakes.count();
        let refused = finishing.join().unwrap();
        assert_once([taken, given_up, refused]);
        // A finish that came first may still be about to wake.
        assert!(wakes.count() == woken || refused.is_none());
        assert!(wakes.has_one_waker());
    });
}

#[test]
fn an_outcome_of_a_detached_task_comes_out_once() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let handoff = running();
        assert!(handoff.poll(&waker).is_pending());
        let finishing = spawn(&handoff, |handoff| handoff.finish(1));
        let detached = handoff.detach();
        assert!(matches!(handoff.give_up(), GivenUp::Nothing));
        assert_eq!(handoff.interest(), Interest::Detached);
        let refused = finishing.join().unwrap();
        assert_once([detached, refused]);
        assert_eq!(wakes.count(), usize::from(detached.is_some()));
    });
}

#[test]
fn an_outcome_that_has_to_be_converted_comes_out_once() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let handoff = running();
        assert!(handoff.poll(&waker).is_pending());
        let finishing = spawn(&handoff, |handoff| handoff.finish(1));
        let early = handoff.convert();
        assert_once([early, finishing.join().unwrap()]);
        assert_eq!(wakes.count(), usize::from(early.is_some()));
    });
}

#[test]
fn a_task_is_cancelled_once_by_its_future_and_the_end_of_the_loop() {
    model(|| {
        let handoff = running();
        let cancelling = spawn(&handoff, |handoff| handoff.cancel(|()| ()).is_some());
        let cancelled = handoff.cancel(|()| ()).is_some();
        assert!(cancelled ^ cancelling.join().unwrap());
    });
}

#[test]
fn a_detached_task_runs_and_is_not_cancelled() {
    model(|| {
        let handoff = Arc::new(Handoff::<(), u8>::new());
        let starting = spawn(&handoff, |handoff| handoff.started(()));
        assert_eq!(handoff.detach(), None);
        assert!(matches!(handoff.give_up(), GivenUp::Nothing));
        starting.join().unwrap();
        assert!(handoff.with_task(|()| ()).is_some());
    });
}

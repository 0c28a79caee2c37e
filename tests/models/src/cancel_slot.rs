use std::sync::Arc;
use std::task::Poll;

use loom::model;

use crate::sync::cancel_slot::CancelSlot;
use crate::{counting_waker, spawn};

#[test]
fn a_cancellation_is_seen_or_wakes_the_handle_and_is_taken_once() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let slot = Arc::new(CancelSlot::new());
        let cancelling = spawn(&slot, |slot| slot.hand(1));
        let seen = slot.poll_taken(&waker);
        assert!(cancelling.join().unwrap());
        if seen.is_pending() {
            assert_eq!(wakes.count(), 1);
            assert_eq!(slot.poll_taken(&waker), Poll::Ready(1));
        }
        assert_eq!(slot.poll_taken(&waker), Poll::Pending);
        assert!(slot.was_handed());
    });
}

#[test]
fn each_of_two_cancellations_is_taken_once_or_replaced() {
    model(|| {
        let (waker, _) = counting_waker();
        let slot = Arc::new(CancelSlot::new());
        let cancelling = spawn(&slot, |slot| slot.hand(1) && slot.hand(2));
        let early = slot.poll_taken(&waker);
        assert!(cancelling.join().unwrap());
        let seen = [early, slot.poll_taken(&waker), slot.poll_taken(&waker)];
        let taken = Vec::from_iter(seen.into_iter().filter_map(|seen| match seen {
            Poll::Ready(cancellation) => Some(cancellation),
            Poll::Pending => None,
        }));
        assert!(taken == [1, 2] || taken == [2], "{taken:?}");
    });
}

#[test]
fn a_cancellation_is_refused_or_comes_out_when_the_future_is_done() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let slot = Arc::new(CancelSlot::new());
        assert!(slot.poll_taken(&waker).is_pending());
        let cancelling = spawn(&slot, |slot| slot.hand(1));
        let left = slot.take_and_close();
        let handed = cancelling.join().unwrap();
        assert_eq!(left, handed.then_some(1));
        assert_eq!(wakes.count(), usize::from(handed));
        assert!(!slot.hand(2));
        assert_eq!(slot.take_and_close(), None);
        assert!(wakes.has_one_waker());
    });
}

#[test]
fn a_cancellation_that_the_handle_leaves_is_seen_by_the_wrapper_or_wakes_it() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let slot = Arc::new(CancelSlot::new());
        let leaving = spawn(&slot, |slot| {
            assert!(slot.hand(1));
            slot.close();
            assert!(!slot.hand(2));
        });
        let seen = slot.poll_left(&waker);
        leaving.join().unwrap();
        if seen.is_pending() {
            assert_eq!(wakes.count(), 1);
            assert_eq!(slot.poll_left(&waker), Poll::Ready(1));
        }
        assert_eq!(slot.poll_left(&waker), Poll::Pending);
    });
}

#[test]
fn a_cancellation_goes_to_the_handle_or_to_the_wrapper_or_is_refused() {
    model(|| {
        let (handle, handle_wakes) = counting_waker();
        let (wrapper, wrapper_wakes) = counting_waker();
        let slot = Arc::new(CancelSlot::new());
        assert!(slot.poll_left(&wrapper).is_pending());
        let cancelling = spawn(&slot, |slot| slot.hand(1));
        let taken = slot.poll_taken(&handle).is_ready();
        assert!(slot.poll_left(&wrapper).is_pending(), "it is not left yet");
        slot.close();
        let handed = cancelling.join().unwrap();
        let is_left = handed && !taken;
        assert_eq!(wrapper_wakes.count(), usize::from(is_left));
        assert_eq!(slot.poll_left(&wrapper).is_ready(), is_left);
        assert!(handle_wakes.has_one_waker());
    });
}

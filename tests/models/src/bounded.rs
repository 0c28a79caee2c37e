use std::sync::Arc;
use std::task::Poll;

use loom::model;

use crate::sync::bounded::{Bounded, Taken, Wanted};
use crate::{counting_waker, spawn};

/// The items that a consumer finds, and whether it had to call the producer.
fn take_all(items: &Bounded<u8>) -> (Vec<u8>, usize) {
    let (waker, _) = counting_waker();
    let (mut taken, mut calls) = (Vec::new(), 0);
    while let Poll::Ready(Taken { item, calls: call }) = items.poll(&waker) {
        taken.push(item);
        calls += usize::from(call);
    }
    (taken, calls)
}

#[test]
fn an_item_is_seen_or_wakes_the_consumer() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let items = Arc::new(Bounded::new(2));
        let pushing = spawn(&items, |items| items.push(vec![1, 2]));
        let polled = items.poll(&waker);
        assert!(pushing.join().unwrap().is_empty());
        let rest = take_all(&items).0;
        match polled {
            Poll::Ready(first) => assert_eq!((first.item, rest), (1, vec![2])),
            Poll::Pending => {
                assert_eq!(wakes.count(), 1);
                assert_eq!(rest, [1, 2]);
            }
        }
        assert!(wakes.has_one_waker());
    });
}

#[test]
fn a_producer_has_room_or_is_called_once() {
    model(|| {
        let items = Arc::new(Bounded::new(2));
        assert!(items.push(vec![1, 2]).is_empty());
        let requesting = spawn(&items, Bounded::request);
        let (taken, calls) = take_all(&items);
        assert_eq!(taken, [1, 2]);
        match requesting.join().unwrap() {
            // It asked after one of the items, or both, were taken.
            Some(room) => assert!((1..=2).contains(&room) && calls == 0),
            None => {
                assert_eq!(calls, 1);
                assert_eq!(items.request(), Some(2));
            }
        }
    });
}

#[test]
fn a_call_finds_room_for_half_of_the_capacity() {
    model(|| {
        let items = Arc::new(Bounded::new(3));
        assert!(items.push(vec![1, 2, 3]).is_empty());
        let requesting = spawn(&items, Bounded::request);
        let (waker, _) = counting_waker();
        for _ in 0..3 {
            let Poll::Ready(taken) = items.poll(&waker) else {
                unreachable!("there are three");
            };
            if taken.calls {
                assert!(items.request().is_some_and(|room| room >= 2));
            }
        }
        drop(requesting.join());
    });
}

#[test]
fn what_is_granted_and_what_waits_never_exceed_the_capacity() {
    model(|| {
        let items = Arc::new(Bounded::new(3));
        let producing = spawn(&items, |items| {
            let mut made = 3;
            assert!(items.push(vec![1, 2, 3]).is_empty());
            if let Some(room) = items.request() {
                assert!(room <= 3);
                assert!(items.push(vec![0; room]).is_empty());
                made += room;
            }
            made
        });
        let (waker, _) = counting_waker();
        let taken = (0..2).filter(|_| items.poll(&waker).is_ready()).count();
        let made = producing.join().unwrap();
        assert!(made - taken <= 3, "{made} made, {taken} taken");
        assert_eq!(take_all(&items).0.len(), made - taken);
    });
}

#[test]
fn an_item_of_a_stopped_consumer_comes_out_once_and_the_producer_goes_on() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let items = Arc::new(Bounded::new(1));
        assert!(items.poll(&waker).is_pending());
        let producing = spawn(&items, |items| (items.push(vec![1]), items.request()));
        let (left, calls) = items.stop(Wanted::Detached);
        let (refused, room) = producing.join().unwrap();
        assert_eq!(left.len() + refused.len(), 1);
        // It has room at once, or is called.
        assert!(room.is_some() ^ calls);
        assert_eq!(items.request(), Some(1));
        assert!(wakes.has_one_waker());
        assert_eq!(items.wanted(), Wanted::Detached);
    });
}

#[test]
fn the_items_before_the_end_are_taken_after_it() {
    model(|| {
        let items = Arc::new(Bounded::new(2));
        let ending = spawn(&items, |items| {
            assert!(items.push(vec![1]).is_empty());
            items.end();
            items.push(vec![2])
        });
        let early = take_all(&items).0;
        assert_eq!(ending.join().unwrap(), [2]);
        let late = take_all(&items).0;
        assert_eq!([early, late].concat(), [1]);
        let _ = items.stop(Wanted::Detached);
        assert_eq!(items.wanted(), Wanted::Nothing);
    });
}

use std::sync::Arc;

use loom::model;

use crate::spawn;
use crate::sync::primitive::{AtomicUsize, Ordering::Relaxed};
use crate::sync::queue::{Bell, Queue};

/// Like an eventfd: audible from a ring to the silence, however often it is rung.
#[derive(Clone, Default)]
struct Audible(Arc<AtomicUsize>);

impl Bell for Audible {
    fn ring(&self) {
        self.0.store(1, Relaxed);
    }
    fn silence(&self) {
        self.0.store(0, Relaxed);
    }
    fn remind(&self) {}
}

/// Like `call_soon_threadsafe`: each ring is heard once, and is over when the drain begins.
#[derive(Clone, Default)]
struct OneShot(Arc<AtomicUsize>);

impl OneShot {
    fn rings(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Bell for OneShot {
    fn ring(&self) {
        self.0.fetch_add(1, Relaxed);
    }
    fn silence(&self) {}
    fn remind(&self) {
        self.ring();
    }
}

fn push<B: Bell>(queue: &Queue<u8, B>, jobs: impl IntoIterator<Item = u8>) {
    for job in jobs {
        queue.push(job).expect("nobody closes the queue");
    }
}

fn drain<B: Bell>(queue: &Queue<u8, B>, most: usize, seen: &mut Vec<u8>) {
    for _ in 0..most {
        match queue.pop() {
            Some(job) => seen.push(job),
            None => break,
        }
    }
    queue.pause();
}

#[test]
fn no_ring_is_lost_and_no_job_runs_twice() {
    model(|| {
        let bell = Audible::default();
        let queue = Arc::new(Queue::new(bell.clone()));
        let pushing = [1, 2].map(|job| spawn(&queue, move |queue| push(queue, [job])));
        let mut seen = Vec::new();
        drain(&queue, 1, &mut seen);
        for thread in pushing {
            thread.join().unwrap();
        }
        while bell.0.load(Relaxed) == 1 {
            drain(&queue, 1, &mut seen);
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn a_bell_that_is_heard_once_loses_no_job() {
    model(|| {
        let bell = OneShot::default();
        let queue = Arc::new(Queue::new(bell.clone()));
        let pushing = spawn(&queue, |queue| push(queue, 1..=3));
        let mut seen = Vec::new();
        let listen = |seen: &mut Vec<u8>| {
            while bell.rings() > 0 {
                bell.0.fetch_sub(1, Relaxed);
                drain(&queue, 2, seen);
            }
        };
        listen(&mut seen);
        pushing.join().unwrap();
        listen(&mut seen);
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn a_burst_rings_once() {
    model(|| {
        let bell = OneShot::default();
        let queue = Arc::new(Queue::new(bell.clone()));
        let pushing = spawn(&queue, |queue| push(queue, [1]));
        push(&queue, [2]);
        pushing.join().unwrap();
        assert_eq!(bell.rings(), 1);
        assert!(queue.answer().is_some(), "it was rung");
        assert!(queue.answer().is_none(), "the call was answered");
    });
}

#[test]
fn closing_leaves_no_job_behind() {
    let close = |queue: &Queue<_, _>| Some(queue.close());
    for close in [close, Queue::close_inherited] {
        model(move || {
            let queue = Arc::new(Queue::new(Audible::default()));
            let pushing = spawn(&queue, |queue| {
                Vec::from_iter((1..=2).filter(|&job| queue.push(job).is_err()))
            });
            let popped = queue.pop();
            let closed = close(&queue);
            assert_eq!(closed.is_some(), queue.is_closed());
            let mut seen = pushing.join().unwrap();
            // `close_inherited` leaves a locked queue alone.
            let remains = closed.unwrap_or_else(|| queue.close());
            seen.extend(popped.into_iter().chain(remains.jobs));
            seen.sort_unstable();
            assert_eq!(seen, [1, 2], "each ran, was dropped or came back, once");
            assert!(queue.pop().is_none());
        });
    }
}

#[test]
fn a_bell_is_never_rung_after_the_queue_closed() {
    model(|| {
        let bell = OneShot::default();
        let queue = Arc::new(Queue::new(bell.clone()));
        let pushing = spawn(&queue, |queue| queue.push(1).is_ok());
        drop(queue.close());
        let rings = bell.rings();
        let pushed = pushing.join().unwrap();
        assert_eq!(bell.rings(), rings);
        assert_eq!(rings, usize::from(pushed));
    });
}

#[test]
fn a_call_survives_the_change_of_the_bell() {
    model(|| {
        let [old, new] = [OneShot::default(), OneShot::default()];
        let queue = Arc::new(Queue::new(old));
        let pushing = spawn(&queue, |queue| push(queue, [1]));
        drop(queue.replace_bell(new.clone()));
        pushing.join().unwrap();
        assert_eq!(new.rings(), 1);
    });
}

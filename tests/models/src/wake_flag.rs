use std::sync::Arc;

use loom::model;
use loom::thread::JoinHandle;

use crate::spawn;
use crate::sync::primitive::{AtomicUsize, Ordering::Relaxed};
use crate::sync::wake_flag::WakeFlag;

/// Two threads do something that the future waits for, and wake it. Each gives whether it has to bring about the poll.
fn two_wakers(flag: &Arc<WakeFlag>, done: &Arc<AtomicUsize>) -> [JoinHandle<bool>; 2] {
    [(); 2].map(|()| {
        let done = Arc::clone(done);
        spawn(flag, move |flag| {
            done.fetch_add(1, Relaxed);
            flag.set()
        })
    })
}

#[test]
fn every_wake_is_followed_by_a_poll_and_one_job_is_enough() {
    model(|| {
        let flag = Arc::new(WakeFlag::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        assert!(flag.set(), "the job of the first poll");
        let waking = two_wakers(&flag, &done);
        assert!(flag.take());
        let seen = done.load(Relaxed);
        let posts = waking.map(|thread| thread.join().unwrap());
        assert!(posts != [true, true], "one job is enough");
        assert!(seen == 2 || posts.contains(&true));
    });
}

#[test]
fn a_poll_after_two_wakes_sees_what_both_are_for() {
    model(|| {
        let flag = Arc::new(WakeFlag::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        let waking = two_wakers(&flag, &done);
        let seen = flag.take().then(|| done.load(Relaxed));
        for thread in waking {
            thread.join().unwrap();
        }
        assert!(seen == Some(2) || flag.take());
    });
}

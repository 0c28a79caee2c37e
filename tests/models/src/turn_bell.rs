use std::sync::Arc;
use std::task::Context;

use loom::model;

use crate::sync::turn_bell::TurnBell;
use crate::{counting_waker, spawn};

#[test]
fn a_ring_is_seen_by_the_poll_or_wakes_it() {
    model(|| {
        let bell = Arc::new(TurnBell::new());
        let (waker, wakes) = counting_waker();
        let ringing = spawn(&bell, |bell| bell.ring());
        let polled = bell.poll(&Context::from_waker(&waker));
        ringing.join().unwrap();
        assert!(polled.is_ready() || wakes.count() == 1);
        assert!(bell.poll(&Context::from_waker(&waker)).is_ready());
        bell.silence();
        assert!(!bell.is_rung());
    });
}

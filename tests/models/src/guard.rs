use std::sync::Arc;
use std::task::Waker;

use loom::cell::UnsafeCell;
use loom::model;
use loom::thread::yield_now;

use crate::sync::guard::{Barred, Guard, Presence};
use crate::{counting_waker, spawn};

type Act = fn(&Guard);

const FORK: [Act; 2] = [Guard::hold, Guard::release];
const EXIT: [Act; 2] = [Guard::close, Guard::open];

/// A guard, and what only one thread may use at a time. A model fails in which two threads do.
struct Guarded {
    guard: Guard,
    users: UnsafeCell<()>,
}

impl Guarded {
    fn run_user_code(&self) {
        self.users.with_mut(|_| ());
    }
}

/// Bars a guard, once by a fork and once by exit, while another thread acts. A thread that finds itself alone has what the
/// other may not use then, until it lifts the bar.
#[expect(
    clippy::arc_with_non_send_sync,
    reason = "loom finds what is not synchronized"
)]
fn bar_during(act: fn(&Guarded, &Presence)) {
    for [bar, lift] in [FORK, EXIT] {
        model(move || {
            let own = Presence::new();
            let guarded = Arc::new(Guarded {
                guard: Guard::new(),
                users: UnsafeCell::new(()),
            });
            let guard = &guarded.guard;
            guard.enter(&own).expect("nothing bars the guard");
            let acting = spawn(&guarded, move |guarded| act(guarded, &Presence::new()));
            bar(guard);
            if guard.others(&own) == 0 {
                guarded.run_user_code();
            }
            lift(guard);
            acting.join().unwrap();
            assert_eq!(guard.others(&own), 0);
            guard.leave(&own);
            assert_eq!(guard.others(&own), 0);
            assert_eq!(guard.enter(&own), Ok(()));
        });
    }
}

fn count_in(guard: &Guard, presence: &Presence) {
    while guard.count_in(presence).is_err() {
        yield_now();
    }
}

#[test]
fn a_barred_guard_has_no_thread_inside_once_no_other_is_active() {
    bar_during(|guarded, presence| {
        if guarded.guard.enter(presence).is_ok() {
            guarded.run_user_code();
            guarded.guard.leave(presence);
        }
    });
}

#[test]
fn an_activity_lasts_until_the_last_leave() {
    bar_during(|guarded, presence| {
        if guarded.guard.enter(presence).is_ok() {
            guarded.guard.enter(presence).expect("it is in already");
            guarded.run_user_code();
            guarded.guard.leave(presence);
            guarded.run_user_code();
            guarded.guard.leave(presence);
        }
    });
}

#[test]
fn a_thread_that_waits_in_an_activity_comes_back_when_the_bar_is_lifted() {
    bar_during(|guarded, presence| {
        if guarded.guard.enter(presence).is_ok() {
            guarded.run_user_code();
            guarded.guard.pause(presence);
            count_in(&guarded.guard, presence);
            assert_eq!(guarded.guard.count_in(presence), Ok(()), "it is counted");
            guarded.run_user_code();
            guarded.guard.leave(presence);
        }
    });
}

#[test]
fn an_uncounted_activity_counts_after_it_has_waited() {
    bar_during(|guarded, presence| {
        guarded.guard.enter_uncounted(presence);
        guarded.guard.enter(presence).expect("it is in already");
        guarded.guard.leave(presence);
        guarded.guard.pause(presence);
        count_in(&guarded.guard, presence);
        guarded.run_user_code();
        guarded.guard.leave(presence);
    });
}

#[test]
fn an_activity_that_cannot_be_put_off_counts_once() {
    bar_during(|guarded, presence| {
        let entered = guarded.guard.enter(presence).is_ok();
        guarded.guard.count_in_anyway(presence);
        guarded.guard.enter_uncounted(presence);
        guarded.guard.leave(presence);
        if entered {
            guarded.guard.leave(presence);
        }
    });
}

#[test]
fn an_activity_sees_the_bar_or_is_seen() {
    for ([bar, _], why) in [(FORK, Barred::Held), (EXIT, Barred::Closed)] {
        for enter in [Guard::enter as fn(&Guard, &Presence) -> _, Guard::count_in] {
            model(move || {
                let guard = Arc::new(Guard::new());
                let entering = spawn(&guard, move |guard| enter(guard, &Presence::new()));
                bar(&guard);
                let others = guard.others(&Presence::new());
                let entered = entering.join().unwrap();
                assert!(others == 1 || entered == Err(why));
                // The transient count of a refused thread is gone.
                let others = guard.others(&Presence::new());
                assert_eq!(others, usize::from(entered.is_ok()));
            });
        }
    }
}

/// A poll that is refused leaves its waker, as that of a task does. Tells whether it was refused.
fn poll(guard: &Guard, waker: &Waker) -> bool {
    let refused = guard.enter(&Presence::new()).is_err();
    if refused {
        guard.wake_when_open(waker.clone());
    }
    refused
}

#[test]
fn a_refused_task_is_woken_once_by_the_lift_of_the_last_bar() {
    for bars in [[FORK, FORK], [FORK, EXIT]] {
        model(move || {
            let (waker, wakes) = counting_waker();
            let guard = Arc::new(Guard::new());
            for [bar, _] in bars {
                bar(&guard);
            }
            let lifting = bars.map(|[_, lift]| spawn(&guard, lift));
            let refused = poll(&guard, &waker);
            for thread in lifting {
                thread.join().unwrap();
            }
            assert_eq!(wakes.count(), usize::from(refused));
            assert!(wakes.has_one_waker());
        });
    }
}

#[test]
fn a_refused_task_is_not_woken_while_another_bar_remains() {
    for [first, last] in [[FORK, EXIT], [EXIT, FORK], [FORK, FORK]] {
        model(move || {
            let (waker, wakes) = counting_waker();
            let guard = Arc::new(Guard::new());
            first[0](&guard);
            let lifting = spawn(&guard, first[1]);
            last[0](&guard);
            assert!(poll(&guard, &waker));
            lifting.join().unwrap();
            assert_eq!(wakes.count(), 0);
            last[1](&guard);
            assert_eq!(wakes.count(), 1);
        });
    }
}

#[test]
fn the_child_of_a_fork_has_the_activity_of_the_thread_that_forked() {
    model(|| {
        let own = Presence::new();
        let guard = Arc::new(Guard::new());
        guard.enter(&own).expect("nothing bars the guard");
        let other = spawn(&guard, |guard| guard.enter(&Presence::new()));
        guard.hold();
        let _ = other.join().unwrap();
        guard.start_over(&own);
        assert_eq!(guard.barred(), None);
        assert_eq!(guard.others(&own), 0);
        guard.leave(&own);
        assert_eq!(guard.enter(&own), Ok(()));
    });
}

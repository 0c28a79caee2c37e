use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use loom::model;

use crate::sync::cell::{WakerAction, WakerCell};
use crate::{counting_waker, spawn};

fn seen(state: &mut u8) -> Option<u8> {
    (*state > 0).then_some(*state)
}

fn set(cell: &WakerCell<u8>, value: u8, then: WakerAction) {
    cell.change(|state| (*state = value, [then]));
}

/// What a Rust task asks before it polls the user's future. The state tells whether Python's future is settled.
fn may_go_on(future: &WakerCell<bool>, waker: &Waker) -> bool {
    let look = |is_settled: &mut bool| is_settled.then_some(());
    future.poll(0, waker, look).is_pending()
}

#[test]
fn a_task_whose_python_future_is_cancelled_was_told_or_is_woken() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let future = Arc::new(WakerCell::new(false));
        let cancelling = spawn(&future, |future| {
            future.change(|it| (*it = true, [WakerAction::Wake]))
        });
        let went_on = may_go_on(&future, &waker);
        cancelling.join().unwrap();
        assert_eq!(wakes.count(), usize::from(went_on));
        assert!(wakes.has_one_waker(), "the cell keeps none");
        assert!(!may_go_on(&future, &waker));
    });
}

#[test]
fn a_new_waker_takes_the_place_of_the_old_one() {
    model(|| {
        let (old, old_wakes) = counting_waker();
        let (new, new_wakes) = counting_waker();
        let cell = Arc::new(WakerCell::new(0));
        assert!(cell.poll(0, &old, seen).is_pending());
        let changing = spawn(&cell, |cell| set(cell, 1, WakerAction::Wake));
        let polled = cell.poll(0, &new, seen);
        changing.join().unwrap();
        if polled.is_pending() {
            assert_eq!((old_wakes.count(), new_wakes.count()), (0, 1));
        }
        assert!(old_wakes.has_one_waker() && new_wakes.has_one_waker());
    });
}

#[test]
fn a_change_that_keeps_a_task_leaves_its_waker_for_the_next() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let cell = Arc::new(WakerCell::new(0));
        let changing = spawn(&cell, |cell| set(cell, 0, WakerAction::Keep));
        assert!(cell.poll(0, &waker, seen).is_pending());
        changing.join().unwrap();
        assert_eq!(wakes.count(), 0);
        set(&cell, 1, WakerAction::Wake);
        assert_eq!(wakes.count(), 1);
    });
}

#[test]
fn a_task_that_is_forgotten_is_not_woken() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let cell = Arc::new(WakerCell::new(0));
        let changing = spawn(&cell, |cell| set(cell, 1, WakerAction::Wake));
        let _ = cell.poll(0, &waker, seen);
        set(&cell, 0, WakerAction::Forget);
        assert!(wakes.has_one_waker() || *cell.lock() == 1);
        changing.join().unwrap();
        assert!(wakes.has_one_waker());
    });
}

#[test]
fn each_of_two_tasks_is_woken_by_the_change_that_concerns_it() {
    model(|| {
        let cell = Arc::new(WakerCell::<_, 2>::new([0, 0]));
        let changing = spawn(&cell, |cell| {
            cell.change(|state| (state[0] = 1, [WakerAction::Wake, WakerAction::Keep]));
            cell.change(|state| (state[1] = 1, [WakerAction::Keep, WakerAction::Wake]));
        });
        let polls = [0, 1].map(|task| {
            let (waker, wakes) = counting_waker();
            let polled = cell.poll(task, &waker, |state| seen(&mut state[task]));
            (polled.is_ready(), wakes)
        });
        changing.join().unwrap();
        for (is_ready, wakes) in polls {
            assert_eq!(wakes.count(), usize::from(!is_ready));
        }
    });
}

/// A waker that uses the cell when it is woken and when it is dropped, and panics.
#[derive(Default)]
struct Meddler(OnceLock<Arc<WakerCell<u8, 2>>>);

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        assert_eq!(self.0.get().map(|cell| *cell.lock()), Some(1));
        panic!("woken");
    }
}

#[test]
fn a_waker_may_use_the_cell_and_its_panic_keeps_no_other_task_asleep() {
    model(|| {
        let (waker, wakes) = counting_waker();
        let meddler = Arc::new(Meddler::default());
        let cell = Arc::new(WakerCell::new(0));
        meddler.0.set(Arc::clone(&cell)).ok().unwrap();
        let meddling = Waker::from(meddler);
        assert!(cell.poll(0, &meddling, seen).is_pending());
        assert!(cell.poll(1, &waker, seen).is_pending());
        cell.change(|state| (*state = 1, [WakerAction::Wake; 2]));
        assert_eq!(wakes.count(), 1);
    });
}

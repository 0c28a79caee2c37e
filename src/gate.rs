//! Where other threads come into the user's code by way of ours, and how the process keeps them out: at its end, and while
//! it forks.
//!
//! Knows nothing of Python.
//!
//! # Protocol
//!
//! 1. A *step* is one poll, or the drop, of a future that crosses. A *turn* is a stay of a Python thread in our code, such
//!    as a turn of a mailbox's drain: it goes by the same rules, except for (5). A thread counts itself in when it begins
//!    one, and out when it has ended it; what it does between the two, steps within the step included, is one step.
//! 2. The gate is barred in the very words that hold the counts. Counting in is one atomic addition, which says what was
//!    there before: so either whoever bars sees the step, or the step sees the bar and is taken back.
//! 3. There is a word for each of [`WORDS`] threads, which take them in turn: nearly always a thread has its own.
//! 4. A *closed* gate (the process ends) refuses, until it opens again, if it does. What is put off with [`when_open_to`] is
//!    done then. The thread that closed it, which runs the end of the process, is not refused. If it begins something new, for which
//!    it needs other threads' steps, the gate [opens to these](open_to_steps_if_closed_by_us), and goes on refusing turns.
//! 5. A *held* gate (the process forks) lets a step wait for its release, by looking again: the child must find no lock
//!    that a thread of the parent's held. Neither side waits for ever, since a thread that waits may have what
//!    the other one needs. But who forks waits as long as a step that is ready to go on may take, and a step waits as long as
//!    who forks [goes on](look_again). A turn does not wait: it has the interpreter, without which nobody forks. If it then
//!    lets go of it to run code of the user's, it is a step [meanwhile](detached).
//! 6. A child starts with an open gate and with no thread inside but the one that forked. What the wait was too short for, it
//!    does not touch: a lock that threads take detached is [its own](PerProcess).
//! 7. A thread that only waits in the midst of a step is [outside](outside) meanwhile, and comes back as it came in.
//! 8. Beside the count lies the name of the thread that came in last, if it has one, until somebody goes out: so [`inside`] can
//!    tell who stays. Where threads share a word one may hide another, but none is named that is not inside.

mod per_process;
mod words;

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering as StaticOrdering};
use std::time::{Duration, Instant};

pub(crate) use self::per_process::PerProcess;
pub(crate) use self::words::Who;
use self::words::{Barred, Gate, WORDS};
#[cfg(pyo3_asyncio_loom)]
use crate::primitive::LocalCell;
use crate::primitive::thread::{self, ThreadId};
use crate::primitive::{AtomicUsize, Mutex, MutexGuard, Ordering, lazy, local, lock};

/// How often who forks looks whether the steps that are under way have ended. A quarter of a second on a quiet machine, and
/// more where threads compete for processors and for the interpreter: both the looks and the steps take longer there.
pub(crate) const LOOKS_BEFORE_FORK: u32 = if cfg!(pyo3_asyncio_loom) { 2 } else { 2000 };
/// How often a step looks whether the gate is released, before it comes in all the same: from the last look of who forks.
const LOOKS_FOR_RELEASE: u32 = 2 * LOOKS_BEFORE_FORK;
const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// How often anybody who forks has looked.
static LOOKS: AtomicU32 = AtomicU32::new(0);

lazy! {
    static GATE: Gate = Gate::new();
}
/// How many forks lie between this process and the one that loaded us.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The process that `GENERATION` is about. 0: nobody has asked yet.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// What a thread knows of itself.
#[derive(Clone, Copy, Default)]
struct Place {
    word: Option<usize>,
    /// What the thread was called in its first turn. 0 before.
    name: usize,
    depth: u32,
    /// Whether the step that it is in is in the word.
    is_counted: bool,
}

local! {
    static PLACE: Cell<Place> = Cell::new(Place { word: None, name: 0, depth: 0, is_counted: false });
}

/// A step, which ends when this drops.
#[must_use = "the step ends when this is dropped"]
pub(crate) struct Step(PhantomData<*const ()>);

impl Drop for Step {
    fn drop(&mut self) {
        let mut place = PLACE.get();
        place.depth -= 1;
        if place.depth == 0 {
            if let (true, Some(word)) = (place.is_counted, place.word) {
                GATE.count_out(word);
            }
            place.is_counted = false;
        }
        PLACE.set(place);
    }
}

/// Begins a step, unless the process ends.
pub(crate) fn step() -> Option<Step> {
    let place = PLACE.get();
    if place.depth > 0 {
        return Some(begin(place, place.is_counted));
    }
    let word = place.word.unwrap_or_else(next_word);
    let place = Place {
        word: Some(word),
        ..place
    };
    count_in(place, word, Who::Step).then(|| begin(place, true))
}

/// Counts this thread in for the turn that it begins [next](attached_step). Not if the gate is closed.
pub(crate) fn come_in() -> bool {
    let place = PLACE.get();
    let word = place.word.unwrap_or_else(next_word);
    let is_counted = count_in(place, word, Who::Turn);
    PLACE.set(Place {
        word: Some(word),
        is_counted,
        ..place
    });
    is_counted
}

/// Waits for a held gate. Whether the thread came in: not if the gate is closed.
fn count_in(place: Place, word: usize, who: Who) -> bool {
    match GATE.count_in(word, place.name, who) {
        Ok(()) => true,
        Err(Barred::Closed) => false,
        Err(Barred::Held) => wait_for_release(place, word, who),
    }
}

/// Waits in the midst of a step.
pub(crate) fn outside<R>(wait: impl FnOnce() -> R) -> R {
    let place = PLACE.get();
    let Some(word) = place.word else {
        return wait();
    };
    if place.is_counted {
        GATE.count_out(word);
        PLACE.set(Place {
            is_counted: false,
            ..place
        });
    }
    let result = wait();
    let is_counted = loop {
        if count_in(place, word, Who::Turn) {
            break true;
        }
        if closed_by_us() {
            break false;
        }
        wait_until_open();
    };
    PLACE.set(Place {
        is_counted,
        ..place
    });
    result
}

/// Runs code of the user's in the midst of a turn, detached. A turn that began while the process forks waits here.
pub(crate) fn detached<R>(run: impl FnOnce() -> R) -> R {
    let place = PLACE.get();
    if let (false, Some(word)) = (place.is_counted, place.word) {
        // A closed gate did not keep the turn out either.
        let is_counted = count_in(place, word, Who::Turn);
        PLACE.set(Place {
            is_counted,
            ..place
        });
    }
    run()
}

/// A step that nothing bars: one of a thread that is attached, of which there is none while the process forks.
pub(crate) fn attached_step() -> Step {
    let place = PLACE.get();
    begin(place, place.is_counted)
}

fn begin(mut place: Place, is_counted: bool) -> Step {
    place.depth += 1;
    place.is_counted = is_counted;
    PLACE.set(place);
    Step(PhantomData)
}

fn next_word() -> usize {
    lazy! {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
    }
    NEXT.fetch_add(1, Ordering::Relaxed) % WORDS
}

#[cold]
fn wait_for_release(place: Place, word: usize, who: Who) -> bool {
    let mut seen = LOOKS.load(StaticOrdering::Relaxed);
    let mut left = LOOKS_FOR_RELEASE;
    while left > 0 {
        thread::sleep(LOOK_AGAIN);
        match GATE.count_in(word, place.name, who) {
            Ok(()) => return true,
            Err(Barred::Closed) => return false,
            Err(Barred::Held) => {}
        }
        let looks = LOOKS.load(StaticOrdering::Relaxed);
        left = if looks == seen {
            left - 1
        } else {
            LOOKS_FOR_RELEASE
        };
        seen = looks;
    }
    GATE.count_in_anyway(word);
    true
}

/// Begins a turn, unless the process ends. In an attached thread, which is asked once for its name.
pub(crate) fn turn(name: impl FnOnce() -> usize) -> Option<Step> {
    let mut place = PLACE.get();
    if place.name == 0 {
        place.name = name();
    }
    if place.depth > 0 {
        return Some(begin(place, place.is_counted));
    }
    let word = place.word.unwrap_or_else(next_word);
    place.word = Some(word);
    match GATE.count_in(word, place.name, Who::Turn) {
        Ok(()) => Some(begin(place, true)),
        Err(Barred::Closed) if !closed_by_us() => None,
        Err(_) => Some(begin(place, false)),
    }
}

/// What is to be done when the gate opens to whom.
type PutOff = (Who, Box<dyn FnOnce() + Send>);

/// What there is to know of a closed gate.
struct Ending {
    /// The thread that closed it.
    by: ThreadId,
    put_off: Vec<PutOff>,
}

lazy! {
    static ENDING: PerProcess<Mutex<Option<Ending>>> = PerProcess::new(Mutex::new(None));
}

fn ending() -> MutexGuard<'static, Option<Ending>> {
    lock(ENDING.get())
}

fn closed_by_us() -> bool {
    let ending = ending();
    ending
        .as_ref()
        .is_some_and(|it| it.by == thread::current().id())
}

/// Whether the end of this process has begun, though the gate may be open again.
pub(crate) fn was_closed() -> bool {
    WAS_CLOSED.load(StaticOrdering::Relaxed)
}

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// From now on no step begins, except in this thread.
pub(crate) fn close() {
    WAS_CLOSED.store(true, StaticOrdering::Relaxed);
    ending().get_or_insert_with(|| Ending {
        by: thread::current().id(),
        put_off: Vec::new(),
    });
    GATE.close();
}

/// Ends `close`.
pub(crate) fn open() {
    let ending = {
        let mut ending = ending();
        GATE.open();
        ending.take()
    };
    do_now(ending.into_iter().flat_map(|it| it.put_off));
}

/// The thread that closed the gate begins something new: what a process calls last may still need its futures.
pub(crate) fn open_to_steps_if_closed_by_us() {
    if !GATE.is_closed_to(Who::Step) || !closed_by_us() {
        return;
    }
    let mut of_steps = Vec::new();
    if let Some(ending) = &mut *ending() {
        GATE.open_to_steps();
        let put_off = mem::take(&mut ending.put_off);
        (of_steps, ending.put_off) = put_off.into_iter().partition(|(who, _)| *who == Who::Step);
    }
    do_now(of_steps);
}

fn do_now(put_off: impl IntoIterator<Item = PutOff>) {
    for (_, act) in put_off {
        act();
    }
}

pub(crate) fn is_closed_to(who: Who) -> bool {
    GATE.is_closed_to(who)
}

/// Waits until turns may begin, detached.
pub(crate) fn wait_until_open() {
    while is_closed_to(Who::Turn) {
        thread::sleep(20 * LOOK_AGAIN);
    }
}

/// Does something now or, if the gate is closed, when it opens. It must not panic, as others wait behind it.
pub(crate) fn when_open_to(who: Who, act: impl FnOnce() + Send + 'static) {
    if is_closed_to(who) {
        let mut ending = ending();
        if let (true, Some(ending)) = (is_closed_to(who), &mut *ending) {
            ending.put_off.push((who, Box::new(act)));
            return;
        }
    }
    act();
}

local! {
    static HOLDS: Cell<bool> = Cell::new(false);
}

/// From now on every step waits, until this thread releases the gate.
pub(crate) fn hold() {
    if !HOLDS.replace(true) {
        GATE.hold();
    }
}

/// Ends this thread's `hold`, if it does hold the gate: who asks may have begun to fork before anybody told us.
pub(crate) fn release() {
    if HOLDS.replace(false) {
        GATE.release();
    }
}

/// Whether every step of another thread has ended.
pub(crate) fn is_empty() -> bool {
    GATE.is_empty(&PLACE.get())
}

/// Lets who forks wait for a moment, detached.
pub(crate) fn look_again() {
    LOOKS.fetch_add(1, StaticOrdering::Relaxed);
    thread::sleep(LOOK_AGAIN);
}

/// Waits until every step of another thread has ended. To be called detached, with the gate barred.
pub(crate) fn wait_until_empty(deadline: Instant) -> bool {
    while !is_empty() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
    true
}

/// The names of the other threads that are inside, of those that have one.
pub(crate) fn inside() -> Vec<usize> {
    GATE.names(&PLACE.get())
}

/// Tells this process from its parent: what was made in another generation belongs to a parent, whose threads are not here.
pub(crate) fn generation() -> u32 {
    GENERATION.load(StaticOrdering::Relaxed)
}

/// Remembers the process in which something that cannot start again was started.
#[cfg(any(feature = "async-std-runtime", feature = "smol-runtime"))]
pub(crate) struct Home(AtomicU32);

#[cfg(any(feature = "async-std-runtime", feature = "smol-runtime"))]
impl Home {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether this is the process in which this was first asked.
    pub(crate) fn is_here(&self) -> bool {
        let here = generation() + 1;
        let relaxed = StaticOrdering::Relaxed;
        match self.0.compare_exchange(0, here, relaxed, relaxed) {
            Ok(_) => true,
            Err(home) => home == here,
        }
    }
}

/// Like `generation`, for places that are not reached often: it finds out by itself that the process has forked, which
/// everybody else has to be told. That costs a call of the system's.
pub(crate) fn generation_of_process() -> u32 {
    let process = std::process::id();
    match PROCESS.swap(process, StaticOrdering::Relaxed) {
        0 => {}
        before if before == process => {}
        _ => {
            GENERATION.fetch_add(1, StaticOrdering::Relaxed);
            GATE.start_over(&PLACE.get());
            HOLDS.set(false);
        }
    }
    generation()
}

/// With loom only: without it, the gate is that of the process, in which other tests run.
#[cfg(all(test, pyo3_asyncio_loom))]
mod loom_models {
    use std::sync::Arc;

    use super::*;
    use crate::primitive::models::{self, UnsafeCell, thread};

    /// What only one thread may use at a time: a model fails in which two do.
    #[derive(Clone)]
    struct Users(Arc<UnsafeCell<u8>>);

    impl Users {
        fn new() -> Self {
            Self(Arc::new(UnsafeCell::new(0)))
        }

        fn enter(&self) {
            self.0.with_mut(|users| assert!(!users.is_null()));
        }
    }

    /// Bars the gate while another thread does something with what it must not use then.
    fn bar_during(bar: fn(), lift: fn(), act: fn(&Users)) {
        models::model(move || {
            let users = Users::new();
            let other = {
                let users = users.clone();
                thread::spawn(move || act(&users))
            };
            bar();
            if is_empty() {
                users.enter();
            }
            lift();
            other.join().unwrap();
            assert!(is_empty());
        });
    }

    fn be_outside_in_a_step(users: &Users) {
        if let Some(_step) = step() {
            users.enter();
            outside(|| ());
            users.enter();
        }
    }

    #[test]
    fn loom_who_was_outside_during_a_fork_comes_back_after_it() {
        bar_during(hold, release, be_outside_in_a_step);
    }

    #[test]
    fn loom_who_was_outside_when_the_gate_closed_comes_back_when_it_opens() {
        bar_during(close, open, be_outside_in_a_step);
    }

    #[test]
    fn loom_a_turn_that_begins_during_a_fork_runs_code_of_the_users_after_it() {
        bar_during(hold, release, |users| {
            let _turn = turn(|| 1).expect("the gate is not closed");
            detached(|| users.enter());
        });
    }

    fn begin_a_turn_detached(users: &Users) {
        if come_in() {
            let _turn = attached_step();
            users.enter();
        }
    }

    #[test]
    fn loom_a_turn_that_begins_detached_during_a_fork_begins_after_it() {
        bar_during(hold, release, begin_a_turn_detached);
    }

    #[test]
    fn loom_a_turn_that_begins_detached_is_refused_by_a_closed_gate() {
        bar_during(close, open, begin_a_turn_detached);
    }

    #[test]
    fn loom_a_step_does_not_wait_for_ever_for_who_forks() {
        models::model(|| {
            hold();
            let other = thread::spawn(|| step().is_some());
            assert!(other.join().unwrap());
            release();
        });
    }

    /// Closes the gate and opens it while another thread, which it refuses, puts something off for its next step or turn.
    fn put_off(who: Who, open_it: fn()) -> Arc<AtomicUsize> {
        let acts = Arc::new(AtomicUsize::new(0));
        close();
        let other = {
            let acts = Arc::clone(&acts);
            thread::spawn(move || {
                when_open_to(who, move || {
                    acts.fetch_add(1, Ordering::Relaxed);
                });
            })
        };
        open_it();
        other.join().unwrap();
        acts
    }

    #[test]
    fn loom_what_is_put_off_is_done_once_when_the_gate_opens() {
        models::model(|| {
            let acts = put_off(Who::Turn, open);
            assert_eq!(acts.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn loom_what_is_put_off_is_done_once_when_the_gate_opens_to_steps_and_then_to_turns() {
        for (who, done_at_first) in [(Who::Step, 1), (Who::Turn, 0)] {
            models::model(move || {
                let acts = put_off(who, open_to_steps_if_closed_by_us);
                assert_eq!(acts.load(Ordering::Relaxed), done_at_first);
                open();
                assert_eq!(acts.load(Ordering::Relaxed), 1);
            });
        }
    }
}

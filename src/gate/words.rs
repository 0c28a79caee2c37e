//! The counts of who is inside, which are the bars too.

use std::sync::atomic::{AtomicUsize as StaticUsize, Ordering as StaticOrdering};

use super::Place;
use crate::primitive::{AtomicUsize, Ordering};

pub(super) const WORDS: usize = if cfg!(pyo3_asyncio_loom) { 2 } else { 64 };
/// The lower bits of a word count the threads inside.
const COUNT: usize = HELD - 1;
/// One for each fork that is under way.
const HELD: usize = 1 << 16;
const ALL_HELD: usize = CLOSED_TO_TURNS - HELD;
const CLOSED_TO_TURNS: usize = 1 << 30;
const CLOSED_TO_STEPS: usize = 1 << 31;
const CLOSED: usize = CLOSED_TO_TURNS | CLOSED_TO_STEPS;

/// Alone on its cache line.
#[repr(align(128))]
struct Word {
    count: AtomicUsize,
    /// Who came in last, if nobody has left since.
    name: StaticUsize,
}

pub(super) struct Gate([Word; WORDS]);

impl Word {
    /// How many threads are inside besides `own`, whose word may be this one.
    fn others(&self, own: &Place, index: usize) -> usize {
        let own = usize::from(own.is_counted && own.word == Some(index));
        (self.count.load(Ordering::Acquire) & COUNT).saturating_sub(own)
    }
}

/// Who comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Step,
    Turn,
}

impl Who {
    /// What closes the gate to it.
    fn closed(self) -> usize {
        match self {
            Who::Step => CLOSED_TO_STEPS,
            Who::Turn => CLOSED_TO_TURNS,
        }
    }
}

/// Why somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    Closed,
    Held,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self([(); WORDS].map(|()| Word {
            count: AtomicUsize::new(0),
            name: StaticUsize::new(0),
        }))
    }

    pub(super) fn count_in(&self, word: usize, name: usize, who: Who) -> Result<(), Barred> {
        let before = self.0[word].count.fetch_add(1, Ordering::AcqRel);
        if before & (ALL_HELD | who.closed()) == 0 {
            self.0[word].name.store(name, StaticOrdering::Relaxed);
            return Ok(());
        }
        self.take_back(word);
        Err(if before & who.closed() == 0 {
            Barred::Held
        } else {
            Barred::Closed
        })
    }

    /// Comes in though the gate is barred: who barred it sees that, if they look again.
    pub(super) fn count_in_anyway(&self, word: usize) {
        self.0[word].count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn count_out(&self, word: usize) {
        self.0[word].name.store(0, StaticOrdering::Relaxed);
        self.take_back(word);
    }

    fn take_back(&self, word: usize) {
        self.0[word].count.fetch_sub(1, Ordering::Release);
    }

    pub(super) fn close(&self) {
        for word in &self.0 {
            word.count.fetch_or(CLOSED, Ordering::AcqRel);
        }
    }

    pub(super) fn open(&self) {
        self.lift(CLOSED);
    }

    pub(super) fn open_to_steps(&self) {
        self.lift(CLOSED_TO_STEPS);
    }

    fn lift(&self, bar: usize) {
        for word in &self.0 {
            word.count.fetch_and(!bar, Ordering::AcqRel);
        }
    }

    pub(super) fn is_closed_to(&self, who: Who) -> bool {
        self.0[0].count.load(Ordering::Relaxed) & who.closed() != 0
    }

    pub(super) fn hold(&self) {
        for word in &self.0 {
            word.count.fetch_add(HELD, Ordering::AcqRel);
        }
    }

    pub(super) fn release(&self) {
        for word in &self.0 {
            word.count.fetch_sub(HELD, Ordering::Release);
        }
    }

    /// Whether nobody is inside. Once the gate is barred that stays so, but for those who come in anyway.
    pub(super) fn is_empty(&self, own: &Place) -> bool {
        let mut words = self.0.iter().enumerate();
        words.all(|(index, word)| word.others(own, index) == 0)
    }

    pub(super) fn names(&self, own: &Place) -> Vec<usize> {
        let words = self.0.iter().enumerate();
        let inside = words.filter(|(index, word)| word.others(own, *index) > 0);
        let names = inside.map(|(_, word)| word.name.load(StaticOrdering::Relaxed));
        names
            .filter(|&name| name != 0 && name != own.name)
            .collect()
    }

    pub(super) fn start_over(&self, own: &Place) {
        for (index, word) in self.0.iter().enumerate() {
            let own = own.is_counted && own.word == Some(index);
            word.count.store(usize::from(own), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use crate::primitive::models::{self, UnsafeCell, thread};

    use super::*;

    /// Runs a step on another thread, and a bar on this one. Once the gate was seen empty, only this thread is in.
    fn model(bar: fn(&Gate), lift: fn(&Gate)) {
        models::model(move || {
            let gate = Arc::new(Gate::new());
            let users = Arc::new(UnsafeCell::new(0));
            let steps = [0, 1].map(|word| {
                let (gate, users) = (Arc::clone(&gate), Arc::clone(&users));
                thread::spawn(move || {
                    let entered = gate.count_in(word, 0, Who::Step);
                    if entered.is_ok() {
                        if word == 0 {
                            // A model fails in which somebody else writes meanwhile.
                            users.with_mut(|users| assert!(!users.is_null()));
                        }
                        gate.count_out(word);
                    }
                    entered
                })
            });
            bar(&gate);
            if gate.is_empty(&Place::default()) {
                users.with_mut(|users| assert!(!users.is_null()));
            }
            lift(&gate);
            for step in steps {
                let _ = step.join().unwrap();
            }
            assert_eq!(gate.count_in(0, 0, Who::Turn), Ok(()));
        });
    }

    #[test]
    fn loom_no_step_runs_behind_a_closed_gate() {
        model(Gate::close, Gate::open);
    }

    #[test]
    fn loom_no_step_runs_while_the_gate_is_held() {
        model(Gate::hold, Gate::release);
    }
}

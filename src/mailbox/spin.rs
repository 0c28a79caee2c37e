//! Staying awake for the answer, for a moment, where that has paid lately.
//!
//! A thread that sleeps takes 5 to 70 µs to wake, which is several times what a crossing costs otherwise. When one Rust future
//! and one Python task take turns, each side would fall asleep just before the other's answer comes. So whoever has sent
//! something and has nothing else to do may spin until there is an answer, before it goes to sleep.
//!
//! # Protocol
//!
//! 1. Each side of a mailbox has a [`Spinner`]. Who sends to that side calls `arrive` after it has sent.
//! 2. Who may spin calls `watch` before it sends what will be answered, and `spin` when it has nothing else to do: that ends
//!    with the next arrival, or when its time is up.
//! 3. It is a delay and nothing else: who has spun looks where it would have looked anyway, and goes to sleep by the same
//!    protocol. An arrival that is seen late, or not at all, loses nothing.
//! 4. `watch` says no where spinning does not pay: on a single processor, where the user says so (`PYO3_ASYNCIO_SPIN=0`), and
//!    after answers that did not come in time. Each answer that comes earns credit, one that does not costs some, and without
//!    credit a growing number of opportunities is let pass.
//! 5. Nobody spins while attached. Where the answer needs the interpreter, who sends lets go of it before it calls `arrive`.

use std::hint;
use std::num::NonZero;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long one waits awake: about what it takes to fall asleep and to wake again, on a slow machine.
const LIMIT: Duration = Duration::from_micros(50);
/// How long one goes on without the runtime, or without the loop, by spinning again and again.
pub(crate) const AT_A_TIME: Duration = Duration::from_micros(200);
/// How many answers make up for one that does not come.
const PRICE: u32 = 4;
const MOST_CREDIT: u32 = 16;
/// The most opportunities to let pass after one that did not pay.
const LONGEST_PAUSE: u32 = 255;

/// What is sent to one side, and whether it pays to stay awake for it. The account is kept without care for who else keeps
/// it, since only time hangs on it.
#[derive(Debug, Default)]
pub(crate) struct Spinner {
    arrivals: AtomicUsize,
    credit: AtomicU32,
    /// How many opportunities are still to be let pass, and how many there were.
    pause: AtomicU32,
    last_pause: AtomicU32,
}

/// Whether spinning pays on this machine, and the user has nothing against it.
///
/// Looked up once, and twice where two threads come at once. With a lock in the place of that, the child of a process that forks
/// meanwhile would wait for ever for the thread that looks, which it has not.
fn is_wanted() -> bool {
    const UNKNOWN: usize = 2;
    static WANTED: AtomicUsize = AtomicUsize::new(UNKNOWN);
    match WANTED.load(Ordering::Relaxed) {
        UNKNOWN => {
            let processors = thread::available_parallelism().map_or(1, NonZero::get);
            let refused = std::env::var_os("PYO3_ASYNCIO_SPIN").is_some_and(|spin| spin == "0");
            let wanted = processors > 1 && !refused;
            WANTED.store(wanted.into(), Ordering::Relaxed);
            wanted
        }
        known => known == 1,
    }
}

/// What had arrived when somebody began to watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(usize);

impl Spinner {
    pub(crate) fn arrive(&self) {
        self.arrivals.fetch_add(1, Ordering::Release);
    }

    /// `None` if it is better to sleep.
    pub(crate) fn watch(&self) -> Option<Watch> {
        (is_wanted() && self.may_pay()).then(|| self.look())
    }

    fn look(&self) -> Watch {
        Watch(self.arrivals.load(Ordering::Acquire))
    }

    /// Whether this opportunity is not one to let pass.
    fn may_pay(&self) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
        }
        pause == 0
    }

    /// Whether anything has arrived since `watch`, which it waits for. Not to be called attached.
    pub(crate) fn spin(&self, watch: Watch) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if self.arrivals.load(Ordering::Acquire) != watch.0 {
                    self.reward();
                    return true;
                }
                hint::spin_loop();
            }
            if start.elapsed() > LIMIT {
                self.punish();
                return false;
            }
        }
    }

    fn reward(&self) {
        let credit = self.credit.load(Ordering::Relaxed);
        // Nearly always the most already: a write would take the line from the other side.
        if credit < MOST_CREDIT {
            self.credit.store(credit + 1, Ordering::Relaxed);
            self.last_pause.store(0, Ordering::Relaxed);
        }
    }

    fn punish(&self) {
        match self.credit.load(Ordering::Relaxed).checked_sub(PRICE) {
            Some(left) => self.credit.store(left, Ordering::Relaxed),
            None => self.give_up(),
        }
    }

    /// It did not pay.
    pub(crate) fn give_up(&self) {
        let pause = (2 * self.last_pause.load(Ordering::Relaxed) + 1).min(LONGEST_PAUSE);
        self.credit.store(0, Ordering::Relaxed);
        self.last_pause.store(pause, Ordering::Relaxed);
        self.pause.store(pause, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many opportunities are let pass before the next one is taken.
    fn pause(spinner: &Spinner) -> u32 {
        (0..).find(|_| spinner.may_pay()).expect("it ends")
    }

    fn rich() -> Spinner {
        let spinner = Spinner::default();
        for _ in 0..2 * MOST_CREDIT {
            spinner.reward();
        }
        spinner
    }

    #[test]
    fn each_answer_that_does_not_come_costs_what_several_have_earned() {
        let spinner = rich();
        for _ in 0..MOST_CREDIT / PRICE {
            spinner.punish();
            assert_eq!(pause(&spinner), 0);
        }
        spinner.punish();
        assert_eq!(pause(&spinner), 1);
    }

    #[test]
    fn without_credit_a_growing_number_of_opportunities_is_let_pass_up_to_a_limit() {
        let spinner = Spinner::default();
        let pauses = (0..10).map(|_| {
            spinner.punish();
            pause(&spinner)
        });
        assert!(pauses.eq([
            1,
            3,
            7,
            15,
            31,
            63,
            127,
            LONGEST_PAUSE,
            LONGEST_PAUSE,
            LONGEST_PAUSE
        ]));
    }

    #[test]
    fn an_answer_that_comes_forgets_the_pauses() {
        let spinner = Spinner::default();
        for _ in 0..10 {
            spinner.punish();
        }
        spinner.reward();
        spinner.punish();
        assert_eq!(pause(&spinner), 1);
    }

    #[test]
    fn giving_up_costs_all_credit() {
        let spinner = rich();
        spinner.give_up();
        assert_eq!(pause(&spinner), 1);
        spinner.punish();
        assert_eq!(pause(&spinner), 3);
    }

    #[test]
    fn what_arrives_between_looking_and_spinning_is_an_answer_and_what_came_before_is_none() {
        let spinner = Spinner::default();
        spinner.arrive();
        let watch = spinner.look();
        assert!(!spinner.spin(watch));
        spinner.arrive();
        assert!(spinner.spin(watch));
    }

    #[test]
    fn who_spins_hears_of_an_arrival_in_another_thread() {
        let spinner = Spinner::default();
        thread::scope(|threads| {
            let watch = spinner.look();
            threads.spawn(|| spinner.arrive());
            // One spin may end too early.
            while !spinner.spin(watch) {}
        });
    }
}

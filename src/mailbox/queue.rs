//! The part of a mailbox that knows neither Python nor descriptors: many threads push, one drains, anyone closes.
//!
//! # Protocol
//!
//! 1. One mutex guards the jobs, the bell, and `rung`: whether the drain has been called for and has not yet found the
//!    queue empty.
//! 2. `push` appends; if `rung` is not set it sets it and rings. All under the lock, so that a bell is never rung after
//!    `close` has taken it away (its descriptor may by then belong to somebody else).
//! 3. `pop` takes the first job. Only when it finds none does it unset `rung` and silence the bell, under the same lock.
//!    Hence *a queue that holds jobs has been rung for*, and jobs that are pushed while a drain is under way cost no ring.
//! 4. A drain ends with `pause`. If it stopped before `pop` gave `None`, because its turn was over or a job raised, the bell
//!    is reminded: one that stays audible until it is silenced has nothing to do then, one that is heard once rings again.
//! 5. `close` takes jobs and bell out. From then on `push` gives the job back and `pop` gives `None`.
//! 6. Jobs run, and are dropped, after the lock is released.

use std::collections::VecDeque;

use std::time::Instant;

use crate::primitive::{Mutex, lock};

/// What calls the drain to the loop's thread. Called with the queue locked: an implementation must not block and must not
/// call out.
pub(crate) trait Bell {
    /// Calls for a drain. Rung once until silenced.
    fn ring(&self);
    /// The queue is empty, the call is answered.
    fn silence(&self);
    /// The drain stopped early: make sure that it comes again.
    fn remind(&self);
}

pub(crate) struct Queue<J, B>(Mutex<State<J, B>>);

struct State<J, B> {
    jobs: VecDeque<J>,
    rung: bool,
    /// When, until a drain answers.
    rung_at: Option<Instant>,
    /// `None` once closed.
    bell: Option<B>,
}

/// What `close` took out of a queue, to be dropped without its lock.
#[must_use = "jobs and bell are the caller's to drop"]
pub(crate) struct Remains<J, B> {
    pub(crate) jobs: VecDeque<J>,
    pub(crate) bell: Option<B>,
}

impl<J, B> State<J, B> {
    fn remains(&mut self) -> Remains<J, B> {
        Remains {
            jobs: std::mem::take(&mut self.jobs),
            bell: self.bell.take(),
        }
    }
}

impl<J, B: Bell> Queue<J, B> {
    pub(crate) fn new(bell: B) -> Self {
        Self(Mutex::new(State {
            jobs: VecDeque::new(),
            rung: false,
            rung_at: None,
            bell: Some(bell),
        }))
    }

    /// Appends a job, or gives it back if the queue is closed.
    pub(crate) fn push(&self, job: J) -> Result<(), J> {
        let mut state = lock(&self.0);
        let state = &mut *state;
        let Some(bell) = &state.bell else {
            return Err(job);
        };
        state.jobs.push_back(job);
        if !state.rung {
            state.rung = true;
            bell.ring();
            state.rung_at = Some(Instant::now());
        }
        Ok(())
    }

    /// A drain begins. When it was called for, if it is the first to come since.
    pub(crate) fn answer(&self) -> Option<Instant> {
        lock(&self.0).rung_at.take()
    }

    /// The next job. `None` means that the queue is empty or closed, and that the next push will ring.
    pub(crate) fn pop(&self) -> Option<J> {
        let mut state = lock(&self.0);
        let state = &mut *state;
        let job = state.jobs.pop_front();
        if let (None, true, Some(bell)) = (&job, state.rung, &state.bell) {
            state.rung = false;
            bell.silence();
        }
        job
    }

    /// Ends a drain.
    pub(crate) fn pause(&self) {
        let state = lock(&self.0);
        if let (true, Some(bell)) = (state.rung, &state.bell) {
            bell.remind();
        }
    }

    /// Puts another bell in the place of this one, which comes back. A call that is not yet answered is passed on.
    pub(crate) fn replace_bell(&self, bell: B) -> Option<B> {
        let mut state = lock(&self.0);
        if state.bell.is_none() {
            return Some(bell);
        }
        if state.rung {
            bell.ring();
        }
        state.bell.replace(bell)
    }

    /// Silences the bell and leaves the jobs: the caller sees to it that `ring_again` follows.
    pub(crate) fn hush(&self) {
        let state = lock(&self.0);
        if let (true, Some(bell)) = (state.rung, &state.bell) {
            bell.silence();
        }
    }

    /// Ends `hush`.
    pub(crate) fn ring_again(&self) {
        let state = lock(&self.0);
        if let (true, Some(bell)) = (state.rung, &state.bell) {
            bell.ring();
        }
    }

    /// What a child inherits: the bell, unless the queue is closed, or locked for ever by a thread of the parent's. A child that
    /// keeps its parent's bell for that neither rings nor silences it; its loop, if it goes on there, may wake in vain.
    pub(crate) fn with_inherited_bell<R>(&self, act: impl FnOnce(&mut B) -> R) -> Option<R> {
        let mut state = self.0.try_lock().ok()?;
        state.bell.as_mut().map(act)
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.0).bell.is_none()
    }

    pub(crate) fn close(&self) -> Remains<J, B> {
        lock(&self.0).remains()
    }

    /// `close` for a child that has inherited the queue. `None` if a thread of the parent's has locked it for ever.
    pub(crate) fn close_inherited(&self) -> Option<Remains<J, B>> {
        Some(self.0.try_lock().ok()?.remains())
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use crate::primitive::models::{model, thread};
    use crate::primitive::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// An eventfd as far as the queue can tell: audible from ring to silence, however often it is rung.
    #[derive(Default)]
    struct Audible(AtomicUsize);

    impl Bell for Arc<Audible> {
        fn ring(&self) {
            self.0.store(1, Relaxed);
        }
        fn silence(&self) {
            self.0.store(0, Relaxed);
        }
        fn remind(&self) {}
    }

    /// `call_soon_threadsafe` as far as the queue can tell: each ring is heard once, and is over when the drain begins.
    #[derive(Default)]
    struct OneShot(AtomicUsize);

    impl Bell for Arc<OneShot> {
        fn ring(&self) {
            self.0.fetch_add(1, Relaxed);
        }
        fn silence(&self) {}
        fn remind(&self) {
            self.ring();
        }
    }

    fn drain<B: Bell>(queue: &Queue<usize, B>, most: usize, seen: &mut Vec<usize>) {
        for _ in 0..most {
            match queue.pop() {
                Some(job) => seen.push(job),
                None => break,
            }
        }
        queue.pause();
    }

    #[test]
    fn loom_no_ring_is_lost_and_no_job_runs_twice() {
        model(|| {
            let bell = Arc::new(Audible::default());
            let queue = Arc::new(Queue::new(Arc::clone(&bell)));
            let producers = [1, 2].map(|job| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.push(job).expect("nobody closes the queue"))
            });
            let mut seen = Vec::new();
            drain(&queue, 1, &mut seen);
            for producer in producers {
                producer.join().unwrap();
            }
            while bell.0.load(Relaxed) == 1 {
                drain(&queue, 1, &mut seen);
            }
            seen.sort_unstable();
            assert_eq!(seen, [1, 2]);
        });
    }

    #[test]
    fn loom_a_bell_that_is_heard_once_loses_nothing_either() {
        model(|| {
            let bell = Arc::new(OneShot::default());
            let queue = Arc::new(Queue::new(Arc::clone(&bell)));
            let producer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    for job in 1..=3 {
                        queue.push(job).expect("nobody closes the queue");
                    }
                })
            };
            let mut seen = Vec::new();
            let listen = |seen: &mut Vec<usize>| {
                while bell.0.load(Relaxed) > 0 {
                    bell.0.fetch_sub(1, Relaxed);
                    drain(&queue, 2, seen);
                }
            };
            listen(&mut seen);
            producer.join().unwrap();
            listen(&mut seen);
            assert_eq!(seen, [1, 2, 3]);
        });
    }

    #[test]
    fn loom_close_leaves_no_job_behind() {
        model(|| {
            let queue = Arc::new(Queue::new(Arc::new(Audible::default())));
            let producer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    (1..=2)
                        .filter(|&job| queue.push(job).is_err())
                        .collect::<Vec<_>>()
                })
            };
            let popped = queue.pop();
            let left = queue.close().jobs;
            let mut seen = producer.join().unwrap();
            seen.extend(popped);
            seen.extend(left);
            seen.sort_unstable();
            assert_eq!(
                seen,
                [1, 2],
                "each job was run, dropped or given back, once"
            );
            assert!(queue.pop().is_none());
        });
    }

    #[test]
    fn loom_a_bell_is_never_rung_after_close() {
        model(|| {
            let bell = Arc::new(OneShot::default());
            let queue = Arc::new(Queue::new(Arc::clone(&bell)));
            let producer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.push(1).is_ok())
            };
            drop(queue.close());
            let rings = bell.0.load(Relaxed);
            producer.join().unwrap();
            assert_eq!(bell.0.load(Relaxed), rings);
        });
    }

    #[test]
    fn loom_a_call_survives_the_change_of_the_bell() {
        model(|| {
            let [old, new] = [(), ()].map(|()| Arc::new(OneShot::default()));
            let queue = Arc::new(Queue::new(Arc::clone(&old)));
            let producer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.push(1).expect("nobody closes the queue"))
            };
            drop(queue.replace_bell(Arc::clone(&new)));
            producer.join().unwrap();
            assert_eq!(new.0.load(Relaxed), 1);
        });
    }

    #[test]
    fn loom_a_bell_that_is_hushed_and_rung_again_loses_nothing() {
        model(|| {
            let bell = Arc::new(Audible::default());
            let queue = Arc::new(Queue::new(Arc::clone(&bell)));
            let producer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    for job in 1..=2 {
                        queue.push(job).expect("nobody closes the queue");
                    }
                })
            };
            queue.hush();
            queue.ring_again();
            producer.join().unwrap();
            let mut seen = Vec::new();
            while bell.0.load(Relaxed) == 1 {
                drain(&queue, 1, &mut seen);
            }
            assert_eq!(seen, [1, 2]);
        });
    }
}

//! The jobs of an event loop: many threads push, one drains, any thread closes.
//!
//! # Protocol
//!
//! 1. One mutex guards the jobs, the bell and the flag `rung`. The flag is set when the bell rings. It stays set until a drain
//!    finds the queue empty.
//! 2. `push` appends a job. If `rung` is not set, `push` sets it and rings the bell. All of this happens under the lock. So
//!    nobody rings a bell that `close` has taken out, whose descriptor may belong to somebody else by then.
//! 3. `pop` takes the first job. If there is none, it unsets `rung` and silences the bell in the same step. So the bell has
//!    rung for every job in the queue, and jobs that come during a drain cost no ring.
//! 4. A drain ends with `pause`. If `rung` is still set, jobs may be left, and `pause` reminds the bell. A bell whose signal
//!    stays until it is silenced, such as a descriptor, ignores this. A bell that brings about one drain, such as a call of the
//!    helper, rings again.
//! 5. `close` takes the jobs and the bell out. From then on `push` returns the job and `pop` returns `None`.
//! 6. Jobs run, and are dropped, after the lock is released.

use std::collections::VecDeque;

use std::time::Instant;

use super::primitive::{Mutex, lock};

/// Calls the drain to the loop's thread. Called with the queue locked: an implementation must neither block nor call foreign
/// code.
pub(crate) trait Bell {
    /// Calls for a drain. Called once until the bell is silenced.
    fn ring(&self);
    /// The queue is empty: the call is answered.
    fn silence(&self);
    /// The drain stopped early and has to come again.
    fn remind(&self);
}

pub(crate) struct Queue<J, B>(Mutex<QueueState<J, B>>);

struct QueueState<J, B> {
    jobs: VecDeque<J>,
    rung: bool,
    /// When it was rung, until a drain answers.
    rung_at: Option<Instant>,
    /// `None` once closed.
    bell: Option<B>,
}

/// The contents of a closed queue, to be dropped without its lock.
#[must_use = "jobs and bell are the caller's to drop"]
pub(crate) struct Remains<J, B> {
    pub(crate) jobs: VecDeque<J>,
    pub(crate) bell: Option<B>,
}

impl<J, B> QueueState<J, B> {
    fn remains(&mut self) -> Remains<J, B> {
        Remains {
            jobs: std::mem::take(&mut self.jobs),
            bell: self.bell.take(),
        }
    }
}

impl<J, B: Bell> Queue<J, B> {
    pub(crate) fn new(bell: B) -> Self {
        Self(Mutex::new(QueueState {
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

    /// Begins a drain. Tells when it was rung for, if this is the first drain since.
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

    /// Replaces the bell and gives the old one back. The new one rings if a call is not answered yet.
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

    /// Runs `look` on the bell. `None` if the queue is closed.
    pub(crate) fn with_bell<R>(&self, look: impl FnOnce(&B) -> R) -> Option<R> {
        lock(&self.0).bell.as_ref().map(look)
    }

    /// Runs `act` on the bell, in the child of a fork. `None` if the queue is closed, or if a thread of the parent locked it for
    /// ever: then nothing in the child rings or silences the bell.
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

    /// Closes an inherited queue, in the child of a fork. `None` if a thread of the parent locked it for ever.
    pub(crate) fn close_inherited(&self) -> Option<Remains<J, B>> {
        Some(self.0.try_lock().ok()?.remains())
    }
}

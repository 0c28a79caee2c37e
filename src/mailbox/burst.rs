//! The other direction of the corridor: what a loop's thread starts on a runtime, with one wake-up for a burst.
//!
//! A runtime wakes a worker for a task that another thread spawns while its workers sleep; short tasks are done, and the
//! workers asleep again, before the next one comes. So only the first task of a burst is spawned: it *leads*. Those that are
//! started before a worker has come to it wait here, and the leader spawns them from there, where nobody has to be woken.
//!
//! # Protocol
//!
//! 1. `join` makes a task the leader if there is none. It is spawned at once, and calls `take` whenever it is polled, and
//!    when it is dropped, until its lead has ended.
//! 2. While a leader of the same runtime is on its way, `join` keeps the starts of some tasks for it. A start is made without
//!    the lock; if the lead has ended meanwhile, it comes back.
//! 3. `take` gives what was kept. Where that is nothing, or the leader wants no more, it ends the lead in the same step: so
//!    nothing is kept that nobody will take.
//! 4. A leader does nothing else before its lead has ended, and leads for a bounded number of polls. What a user's future does
//!    cannot hold up the burst, nor a burst without end the leader's own future.
//! 5. Only the thread that drains the loop's mailbox joins. A worker of the runtime would put a leader where no other worker
//!    finds it, behind what it does itself.

use std::any::TypeId;

use crate::primitive::{Mutex, lock};

/// The most tasks that wait for a leader. When there are more, the workers are awake, and nothing is saved by waiting.
const FOLLOWERS: usize = 8;

/// Spawns a task on its runtime.
pub(crate) type Start = Box<dyn FnOnce() + Send>;

/// The tasks that a loop's thread starts.
pub(crate) struct Burst<S>(Mutex<Option<Lead<S>>>);

struct Lead<S> {
    /// `None` for one that is awake already, so that it does not matter whose it is.
    runtime: Option<TypeId>,
    followers: Vec<S>,
}

impl<S> Lead<S> {
    fn takes(&self, runtime: TypeId) -> bool {
        self.runtime.is_none_or(|own| own == runtime) && self.followers.len() < FOLLOWERS
    }
}

/// What becomes of a task.
pub(crate) enum Joined<T, S> {
    /// To be spawned, and to `take` then.
    Leads(T),
    Follows,
    /// To be called: its leader has just gone.
    Late(S),
    /// To be spawned: the leader on its way has enough to do, or is of another runtime.
    Alone(T),
}

impl<S> Burst<S> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// `start` makes the start of a task that follows.
    pub(crate) fn join<T>(
        &self,
        runtime: TypeId,
        task: T,
        start: impl FnOnce(T) -> S,
    ) -> Joined<T, S> {
        {
            let mut lead = lock(&self.0);
            match &*lead {
                Some(lead) if lead.takes(runtime) => {}
                Some(_) => return Joined::Alone(task),
                None => {
                    *lead = Some(Lead {
                        runtime: Some(runtime),
                        followers: Vec::new(),
                    });
                    return Joined::Leads(task);
                }
            }
        }
        let start = start(task);
        match &mut *lock(&self.0) {
            Some(lead) if lead.takes(runtime) => {
                lead.followers.push(start);
                Joined::Follows
            }
            _ => Joined::Late(start),
        }
    }

    /// What the leader has to start. If that is nothing, or if `last` says so, its lead has ended.
    pub(crate) fn take(&self, last: bool) -> Vec<S> {
        let mut lead = lock(&self.0);
        let followers = match &mut *lead {
            Some(lead) => std::mem::take(&mut lead.followers),
            None => Vec::new(),
        };
        if last || followers.is_empty() {
            *lead = None;
        }
        followers
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use crate::primitive::models::{model, thread};
    use crate::primitive::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn loom_every_task_of_a_burst_is_started_once() {
        model(|| {
            let burst = Arc::new(Burst::new());
            let started = Arc::new(AtomicUsize::new(0));
            let mut leaders = Vec::new();
            for _ in 0..3 {
                let joined = burst.join(TypeId::of::<()>(), (), |()| ());
                if let Joined::Late(()) = joined {
                    started.fetch_add(1, SeqCst);
                }
                if let Joined::Leads(()) = joined {
                    let (burst, started) = (Arc::clone(&burst), Arc::clone(&started));
                    leaders.push(thread::spawn(move || {
                        started.fetch_add(1, SeqCst);
                        for last in [false, true] {
                            let followers = burst.take(last).len();
                            started.fetch_add(followers, SeqCst);
                            if followers == 0 {
                                break;
                            }
                        }
                    }));
                }
            }
            for leader in leaders {
                leader.join().unwrap();
            }
            assert_eq!(started.load(SeqCst), 3);
        });
    }
}

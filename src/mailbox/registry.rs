//! The mailboxes of a process, by the addresses of their loops.
//!
//! # Protocol
//!
//! 1. One mutex guards the table. What it gives is trusted only while it is open: a closed one may still be in it.
//! 2. Who opens a mailbox `add`s it, and is given the one to use instead if another thread was first. That is looked up, and
//!    the own one put in the place of a closed one, in one step.
//! 3. Who closes a mailbox first closes it, and then `remove`s it. That leaves another one alone, which a new loop at the same
//!    address may have by then.

use std::collections::HashMap;

use crate::primitive::{Mutex, lock};

pub(super) trait Registered: Clone {
    fn address(&self) -> usize;
    fn is_open(&self) -> bool;
    fn is(&self, other: &Self) -> bool;
}

pub(super) struct Registry<M>(Mutex<HashMap<usize, M>>);

impl<M: Registered> Registry<M> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The open mailbox of that address.
    pub(super) fn find(&self, address: usize) -> Option<M> {
        let mailbox = lock(&self.0).get(&address).cloned();
        mailbox.filter(M::is_open)
    }

    /// Adds a mailbox, unless there is an open one, which it gives.
    pub(super) fn add(&self, mailbox: &M) -> Option<M> {
        let mut table = lock(&self.0);
        if let Some(first) = table
            .get(&mailbox.address())
            .filter(|first| first.is_open())
        {
            return Some(first.clone());
        }
        let closed = table.insert(mailbox.address(), mailbox.clone());
        drop(table);
        drop(closed);
        None
    }

    pub(super) fn remove(&self, mailbox: &M) {
        let mut table = lock(&self.0);
        let address = mailbox.address();
        let own = table.get(&address).is_some_and(|own| own.is(mailbox));
        let removed = own.then(|| table.remove(&address));
        drop(table);
        drop(removed);
    }

    /// All of them, for the child of a fork.
    pub(super) fn take(&self) -> HashMap<usize, M> {
        std::mem::take(&mut *lock(&self.0))
    }
}

#[cfg(test)]
mod loom_models {
    use std::sync::Arc;

    use super::*;
    use crate::primitive::models::{model, thread};
    use crate::primitive::{AtomicBool, Ordering::SeqCst};

    impl Registered for Arc<AtomicBool> {
        fn address(&self) -> usize {
            1
        }
        fn is_open(&self) -> bool {
            self.load(SeqCst)
        }
        fn is(&self, other: &Self) -> bool {
            Arc::ptr_eq(self, other)
        }
    }

    fn open(registry: &Registry<Arc<AtomicBool>>) -> Arc<AtomicBool> {
        registry.find(1).unwrap_or_else(|| {
            let mailbox = Arc::new(AtomicBool::new(true));
            registry.add(&mailbox).unwrap_or(mailbox)
        })
    }

    #[test]
    fn loom_two_threads_that_open_the_mailbox_of_a_loop_have_the_same() {
        model(|| {
            let registry = Arc::new(Registry::new());
            let other = {
                let registry = Arc::clone(&registry);
                thread::spawn(move || open(&registry))
            };
            let mailbox = open(&registry);
            assert!(mailbox.is(&other.join().unwrap()));
        });
    }

    #[test]
    fn loom_a_mailbox_that_closes_late_leaves_that_of_the_next_loop_at_its_address() {
        model(|| {
            let registry = Arc::new(Registry::new());
            let old = open(&registry);
            let closing = {
                let (registry, old) = (Arc::clone(&registry), Arc::clone(&old));
                thread::spawn(move || {
                    old.store(false, SeqCst);
                    registry.remove(&old);
                })
            };
            let mailbox = open(&registry);
            closing.join().unwrap();
            let found = registry.find(1);
            if mailbox.is(&old) {
                assert!(found.is_none());
            } else {
                assert!(found.is_some_and(|found| found.is(&mailbox)));
            }
        });
    }
}

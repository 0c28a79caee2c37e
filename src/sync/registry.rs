//! The mailboxes of a process, by the addresses of their loops.
//!
//! # Protocol
//!
//! 1. One mutex guards the table. An entry counts only while its mailbox is open: a closed one may still be in the table.
//! 2. `add` puts a mailbox into the table, in the place of a closed one. If there is an open one, because another thread was
//!    first, `add` gives that instead. Both happen in one step.
//! 3. A mailbox is closed before it is removed. `remove` leaves another mailbox at the same address alone, because a new loop may
//!    have that address by then.

use std::collections::HashMap;

use super::primitive::{Mutex, lock};

pub(crate) trait Registered: Clone {
    fn address(&self) -> usize;
    fn is_open(&self) -> bool;
    fn is(&self, other: &Self) -> bool;
}

pub(crate) struct Registry<M>(Mutex<HashMap<usize, M>>);

impl<M: Registered> Default for Registry<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Registered> Registry<M> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The open mailbox of that address.
    pub(crate) fn find(&self, address: usize) -> Option<M> {
        let mailbox = lock(&self.0).get(&address).cloned();
        mailbox.filter(M::is_open)
    }

    /// Adds a mailbox. Gives the open one of its address instead, if there is one.
    pub(crate) fn add(&self, mailbox: &M) -> Option<M> {
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

    pub(crate) fn remove(&self, mailbox: &M) {
        let mut table = lock(&self.0);
        let address = mailbox.address();
        let own = table.get(&address).is_some_and(|own| own.is(mailbox));
        let removed = own.then(|| table.remove(&address));
        drop(table);
        drop(removed);
    }

    /// Takes all of them out, in the child of a fork. Takes none if a thread of the parent held the lock at the fork: the
    /// child cannot have it.
    pub(crate) fn take_inherited(&self) -> HashMap<usize, M> {
        let table = self.0.try_lock();
        table.map_or_else(|_| HashMap::new(), |mut table| std::mem::take(&mut *table))
    }
}

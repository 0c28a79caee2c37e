use std::sync::Arc;

use loom::model;

use crate::spawn;
use crate::sync::primitive::{AtomicBool, Ordering::SeqCst};
use crate::sync::registry::{Registered, Registry};

type Mailbox = Arc<AtomicBool>;

impl Registered for Mailbox {
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

fn open(registry: &Registry<Mailbox>) -> Mailbox {
    registry.find(1).unwrap_or_else(|| {
        let mailbox = Arc::new(AtomicBool::new(true));
        registry.add(&mailbox).unwrap_or(mailbox)
    })
}

#[test]
fn two_threads_that_open_the_mailbox_of_a_loop_have_the_same() {
    model(|| {
        let registry = Arc::new(Registry::new());
        // The mailbox of an earlier loop at this address, closed and not removed yet.
        open(&registry).store(false, SeqCst);
        let opening = spawn(&registry, open);
        let mailbox = open(&registry);
        assert!(mailbox.is_open());
        assert!(mailbox.is(&opening.join().unwrap()));
    });
}

#[test]
fn a_mailbox_that_closes_late_leaves_that_of_the_next_loop_at_its_address() {
    model(|| {
        let registry = Arc::new(Registry::new());
        let old = open(&registry);
        let closing = spawn(&registry, {
            let old = Arc::clone(&old);
            move |registry| {
                old.store(false, SeqCst);
                registry.remove(&old);
            }
        });
        let mailbox = open(&registry);
        closing.join().unwrap();
        match registry.find(1) {
            Some(found) => assert!(found.is(&mailbox)),
            None => assert!(mailbox.is(&old)),
        }
        drop(mailbox);
        assert_eq!(Arc::strong_count(&old), 1, "the registry let go of it");
    });
}

//! A worker that stays awake after a poll, for what the loop's thread is about to send (`mailbox/spin.rs`).
//!
//! It is not kept from the runtime for longer than a poll may take: not for long at a time, and only while next to nothing else
//! is in flight that could be waiting for this worker.

use std::time::Instant;

use crate::gate::Step;
use crate::mailbox::Mailbox;
use crate::mailbox::spin::{AT_A_TIME, Watch};
use crate::metrics;

pub(super) struct StayAwake {
    mailbox: Mailbox,
    watch: Watch,
    since: Option<Instant>,
}

impl StayAwake {
    /// To be called before a poll. `None` if it is better to sleep.
    pub(super) fn after(step: &Step, mailbox: &Mailbox) -> Option<Self> {
        // A future that is not `Send` is polled in a turn of its loop.
        if !step.is_outermost() || !metrics::few_in_flight() {
            return None;
        }
        let watch = mailbox.to_rust().watch()?;
        Some(Self {
            mailbox: mailbox.clone(),
            watch,
            since: None,
        })
    }

    /// Waits for what Python sends. Whether that may be what the task waits for, so that it is to be polled again.
    pub(super) fn is_answered(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        let starts = self.mailbox.starts();
        if !starts.lead() {
            return false;
        }
        let spinner = self.mailbox.to_rust();
        let has_come = spinner.spin(self.watch);
        let followers = starts.take(true);
        let is_answered = has_come && followers.is_empty();
        for start in followers {
            start();
        }
        match spinner.watch() {
            Some(watch) if is_answered => self.watch = watch,
            _ => return false,
        }
        true
    }

    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        now.duration_since(*self.since.get_or_insert(now)) > AT_A_TIME
    }
}

//! The first task of a burst, which starts the others before it turns to its own future (`mailbox/burst.rs`).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::gate;
use crate::mailbox::Mailbox;

/// The most polls for which a task leads.
const POLLS: u8 = 64;

pin_project! {
    pub(super) struct Leader<F> {
        #[pin]
        task: F,
        mailbox: Mailbox,
        // For how many more polls it leads.
        polls: u8,
    }

    impl<F> PinnedDrop for Leader<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.polls > 0 {
                start_followers(this.mailbox, true);
            }
        }
    }
}

impl<F> Leader<F> {
    pub(super) fn new(mailbox: Mailbox, task: F) -> Self {
        Self {
            task,
            mailbox,
            polls: POLLS,
        }
    }
}

impl<F: Future> Future for Leader<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if *this.polls > 0 {
            // No process forks while the burst is in this thread's hands.
            let _step = gate::step();
            *this.polls -= 1;
            if start_followers(this.mailbox, *this.polls == 0) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            *this.polls = 0;
        }
        this.task.poll(cx)
    }
}

/// Starts those that came while their leader was on its way. Whether it still leads.
fn start_followers(mailbox: &Mailbox, last: bool) -> bool {
    let followers = mailbox.starts().take(last);
    let leads = !followers.is_empty() && !last;
    for start in followers {
        start();
    }
    leads
}

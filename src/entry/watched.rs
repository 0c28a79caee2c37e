//! The main future of a program, which notes when its end began (`asyncio/cancelling.rs`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::asyncio::{LastMoment, Moment};

pin_project! {
    pub(super) struct Watched<F> {
        #[pin]
        future: F,
        // When its last poll, or its drop, began.
        ended: Arc<LastMoment>,
        is_done: bool,
    }

    impl<F> PinnedDrop for Watched<F> {
        fn drop(this: Pin<&mut Self>) {
            if !this.is_done {
                this.ended.set(Moment::next());
            }
        }
    }
}

impl<F> Watched<F> {
    pub(super) fn new(future: F, ended: Arc<LastMoment>) -> Self {
        Self {
            future,
            ended,
            is_done: false,
        }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.ended.set(Moment::next());
        let polled = this.future.poll(cx);
        *this.is_done = polled.is_ready();
        polled
    }
}

//! The main future of a loop that Rust runs. It sends its result to the thread that runs the loop, without Python.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use pyo3::prelude::*;

use crate::runtime::Runtime;
use crate::to_rust::GivenUpTasks;
use crate::user_value::UserValue;

pin_project! {
    /// Sends the result of a future, and collects the Python tasks that its end gives up.
    pub(super) struct MainFuture<R, F, T> {
        // `None` once it is dropped.
        #[pin]
        future: Option<F>,
        given_up: GivenUpTasks,
        // Drops after the future: once the sender is gone, so is the future.
        sender: SyncSender<PyResult<UserValue<T>>>,
        runtime: PhantomData<fn() -> R>,
    }

    impl<R, F, T> PinnedDrop for MainFuture<R, F, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                this.given_up.collect(|| this.future.set(None));
            }
        }
    }
}

impl<R, F, T> MainFuture<R, F, T> {
    pub(super) fn new(
        future: F,
        given_up: GivenUpTasks,
        sender: SyncSender<PyResult<UserValue<T>>>,
    ) -> Self {
        Self {
            future: Some(future),
            given_up,
            sender,
            runtime: PhantomData,
        }
    }
}

impl<R, F, T> Future for MainFuture<R, F, T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>>,
{
    type Output = PyResult<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyResult<()>> {
        let mut this = self.project();
        let result = this.given_up.collect(|| {
            let future = this.future.as_mut().as_pin_mut();
            let future = future.expect("a future is not polled again after it was done");
            let result = ready!(future.poll(cx));
            this.future.set(None);
            Poll::Ready(result)
        });
        // Errors take the channel too. asyncio would not stop the loop for a future that fails with `SystemExit`, because it
        // expects the loop to have raised it. After a second Ctrl-C there is no receiver.
        let _ = this.sender.send(ready!(result).map(UserValue::new::<R>));
        Poll::Ready(Ok(()))
    }
}

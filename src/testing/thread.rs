//! A future of what a thread of its own comes to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use async_task::Task;

/// Runs a function that blocks, in a thread of its own, and gives a future of its result or of its panic.
pub(super) fn on_thread<T: Send + 'static>(
    name: String,
    function: impl FnOnce() -> T + Send + 'static,
) -> Task<thread::Result<T>> {
    // It is done with its first poll, so it is never scheduled a second time.
    let future = async { catch_unwind(AssertUnwindSafe(function)) };
    let (runnable, task) = async_task::spawn(future, drop);
    thread::Builder::new()
        .name(name)
        .spawn(move || runnable.run())
        .expect("the system has a thread for a test");
    task
}

//! Panics that are an answer and not a report: what tokio says in no other way.
//!
//! The panic hook of [`error`](crate::error) asks here and keeps quiet. It has to be there already, since setting a hook
//! waits until no other is running, which an attached thread must not do. A hook that the program has put around ours hears of
//! the answer too.

use std::cell::Cell;

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Calls a function whose panic is not reported: `None` is its answer.
///
/// It is the answer of a program, too, that would end with the question: there nothing is called.
#[cfg(feature = "tokio-runtime")]
pub(crate) fn silently<R>(function: impl FnOnce() -> R) -> Option<R> {
    if cfg!(panic = "abort") {
        return None;
    }
    let outer = SILENT.replace(true);
    // The answer is all that is looked at.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(function));
    SILENT.set(outer);
    result.ok()
}

/// Whether a panic of this thread, now, is an answer.
pub(crate) fn is_silent() -> bool {
    SILENT.try_with(Cell::get).unwrap_or(false)
}

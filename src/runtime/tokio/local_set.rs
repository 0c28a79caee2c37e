//! Whether this thread is inside a `LocalSet`: tokio answers by a panic in `spawn_local`, and by nothing else.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::rc::Rc;
use std::sync::Once;

/// Spawns on the `LocalSet` (or local runtime) of this thread, or gives the future back.
pub(super) fn spawn_local<F>(future: F) -> Result<(), F>
where
    F: Future<Output = ()> + 'static,
{
    // The future waits outside of the task that tokio drops when it refuses.
    let slot = Rc::new(Cell::new(Some(future)));
    let task = {
        let slot = Rc::clone(&slot);
        async move {
            if let Some(future) = slot.take() {
                future.await;
            }
        }
    };
    let spawned = silently(|| {
        catch_unwind(AssertUnwindSafe(|| {
            tokio::task::spawn_local(task);
        }))
    });
    match (spawned, slot.take()) {
        (Err(_), Some(future)) => Err(future),
        (_, future) => {
            slot.set(future);
            Ok(())
        }
    }
}

/// Runs a function whose panic is an answer, not a report.
pub(super) fn silently<R>(function: impl FnOnce() -> R) -> R {
    thread_local! {
        static SILENT: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !SILENT.try_with(Cell::get).unwrap_or(false) {
                report(panic);
            }
        }));
    });
    SILENT.set(true);
    let result = function();
    SILENT.set(false);
    result
}

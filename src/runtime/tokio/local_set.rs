//! Whether this thread is inside a `LocalSet`: tokio answers by a panic in `spawn_local`, and by nothing else.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use crate::panic::silently;

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
    let spawned = silently(|| drop(tokio::task::spawn_local(task)));
    match (spawned, slot.take()) {
        (None, Some(future)) => Err(future),
        (_, future) => {
            slot.set(future);
            Ok(())
        }
    }
}

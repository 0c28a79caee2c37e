//! A Python listener that a Rust thread calls.

use std::sync::Arc;
use std::thread;

use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;

/// Has an `async def` called for each event of a Rust thread, on the event loop that runs now, one after the other.
#[pyfunction]
pub(crate) fn subscribe(py: Python<'_>, events: Vec<String>, on_event: Py<PyAny>) -> PyResult<()> {
    // The thread has no loop. So the loop and the context are those of the registration.
    let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
    let on_event = Arc::new(on_event);
    thread::spawn(move || {
        for event in events {
            let on_event = Arc::clone(&on_event);
            let task = locals.run_coroutine(move |py| on_event.bind(py).call1((event,)));
            // The thread waits without the interpreter. `task.detach()` would not wait.
            if pyo3_asyncio::tokio::handle().block_on(task).is_err() {
                // The listener raised, or the loop is closed.
                break;
            }
        }
    });
    Ok(())
}

//! What blocks, on tokio's threads for that.

use std::{io, path::Path};

use pyo3::{exceptions::PyOSError, prelude::*};
use tokio::{sync::oneshot, task::spawn_blocking};

/// Calls `work` on a blocking thread. It is given a function that says whether its result is still wanted, which it is not
/// once the future is dropped.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce(&dyn Fn() -> bool) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    spawn_blocking(move || {
        let worked = work(&|| !done.is_closed());
        // An error says that nobody waits any more.
        let _ = done.send(worked);
    });
    let ended = |_| Err(io::Error::other("the thread that was to do it has ended"));
    result.await.unwrap_or_else(ended)
}

/// The exception that Python's own functions raise, with the path.
pub(crate) fn os_error(error: &io::Error, path: &Path) -> PyErr {
    let path = path.as_os_str().to_owned();
    PyOSError::new_err((error.raw_os_error(), reason(error), path))
}

/// What the system says, without the number that Rust puts behind it.
pub(crate) fn reason(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(number) = text.rfind(" (os error ") {
        text.truncate(number);
    }
    text
}

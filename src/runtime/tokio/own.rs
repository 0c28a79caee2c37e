//! A runtime that can be ended.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use std::future::pending;
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio::task::AbortHandle;

/// A runtime that nobody else has a reference to.
pub(super) struct Own {
    handle: Handle,
    owner: Owner,
}

enum Owner {
    /// A runtime with threads needs nobody.
    Us(Runtime),
    /// A runtime without threads makes progress only while somebody blocks on it: a thread does, and drops it after that.
    Driver {
        stop: AbortHandle,
        ended: mpsc::Receiver<()>,
    },
}

impl Own {
    pub(super) fn new(runtime: Runtime) -> Self {
        let handle = runtime.handle().clone();
        if handle.runtime_flavor() != RuntimeFlavor::CurrentThread {
            let owner = Owner::Us(runtime);
            return Self { handle, owner };
        }
        let work = handle.spawn(pending::<()>());
        let stop = work.abort_handle();
        let ended = in_thread(move || {
            // Ends when it is aborted.
            let _ = runtime.block_on(work);
            drop(runtime);
        });
        let owner = Owner::Driver { stop, ended };
        Self { handle, owner }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether every task and every thread has ended in time. If not, they go on ending.
    pub(super) fn end(self, patience: Duration) -> bool {
        let ended = match self.owner {
            // In a thread of its own: a runtime must not be dropped by one of its tasks, and that takes as long as its
            // longest poll.
            Owner::Us(runtime) => in_thread(|| drop(runtime)),
            Owner::Driver { stop, ended } => {
                stop.abort();
                ended
            }
        };
        // The sender drops at the end.
        ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

/// Runs something in a thread, whose end the receiver hears of by the end of the sender.
fn in_thread(work: impl FnOnce() + Send + 'static) -> mpsc::Receiver<()> {
    let (ends, ended) = mpsc::channel();
    spawn(move || {
        let _ends = ends;
        work();
    });
    ended
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .name("pyo3-asyncio-tokio".to_owned())
        .spawn(work)
        .expect("the system has a thread for the tokio runtime");
}

/// Drives a runtime without threads, for ever.
pub(super) fn drive(runtime: &'static Runtime) {
    if runtime.handle().runtime_flavor() == RuntimeFlavor::CurrentThread {
        spawn(|| runtime.block_on(pending::<()>()));
    }
}

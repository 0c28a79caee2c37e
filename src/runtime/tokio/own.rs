//! A runtime that can be ended, unless it was lent.

use std::future::pending;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio::task::AbortHandle;

pub(super) struct Own {
    runtime: Arc<Runtime>,
    /// A runtime without threads makes progress only while somebody blocks on it: a thread does.
    driver: Option<Driver>,
}

struct Driver {
    stop: AbortHandle,
    ended: mpsc::Receiver<()>,
}

impl Own {
    pub(super) fn new(runtime: Runtime) -> Self {
        let runtime = Arc::new(runtime);
        let driver =
            (runtime.handle().runtime_flavor() == RuntimeFlavor::CurrentThread).then(|| {
                let driven = Arc::clone(&runtime);
                let work = runtime.spawn(pending::<()>());
                let stop = work.abort_handle();
                let ended = in_thread(move || {
                    // Ends when it is aborted.
                    let _ = driven.block_on(work);
                    drop(driven);
                });
                Driver { stop, ended }
            });
        Self { runtime, driver }
    }

    pub(super) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Lends the runtime for ever. It cannot be ended after that.
    pub(super) fn lend(&self) -> &'static Runtime {
        Box::leak(Box::new(Arc::clone(&self.runtime)))
    }

    /// Whether every task and every thread has ended in time. If not, they go on ending.
    pub(super) fn end(self, patience: Duration) -> bool {
        let Self { runtime, driver } = self;
        let ended = match driver {
            // In a thread of its own: a runtime must not be dropped by one of its tasks, and that takes as long as its
            // longest poll.
            None => in_thread(|| drop(runtime)),
            Some(Driver { stop, ended }) => {
                drop(runtime);
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

//! A tokio runtime that the bridge builds, drives and shuts down.

use std::future::pending;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio::task::AbortHandle;

pub(super) struct OwnRuntime {
    runtime: Arc<Runtime>,
    /// A `current_thread` runtime makes progress only while a thread blocks on it.
    driver: Option<Driver>,
}

struct Driver {
    stop: AbortHandle,
    thread: JoinHandle<()>,
}

impl OwnRuntime {
    pub(super) fn new(runtime: Runtime) -> Self {
        let runtime = Arc::new(runtime);
        let driver = needs_driver(&runtime).then(|| {
            let driven = Arc::clone(&runtime);
            let work = runtime.spawn(pending::<()>());
            let stop = work.abort_handle();
            let thread = spawn(move || {
                // Returns when `stop` aborts the task.
                let _ = driven.block_on(work);
            });
            Driver { stop, thread }
        });
        Self { runtime, driver }
    }

    pub(super) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// A reference that keeps the runtime and its driver running for ever, even after `self` is dropped.
    pub(super) fn leak(&self) -> &'static Runtime {
        Box::leak(Box::new(Arc::clone(&self.runtime)))
    }

    /// Shuts the runtime down. Whether every task and every thread has ended in time. If not, they end in the background.
    pub(super) fn end(self, patience: Duration) -> bool {
        let Self { runtime, driver } = self;
        let (sender, ended) = mpsc::channel::<()>();
        // In another thread: a task must not drop its own runtime, and the drop waits for polls that are running.
        spawn(move || {
            let _drops_last = sender;
            if let Some(Driver { stop, thread }) = driver {
                stop.abort();
                // An error is a panic of the driver, which the panic hook has reported.
                let _ = thread.join();
            }
            drop(runtime);
        });
        ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name("pyo3-asyncio-tokio".to_owned())
        .spawn(work)
        .expect("the system has a thread for the tokio runtime")
}

fn needs_driver(runtime: &Runtime) -> bool {
    runtime.handle().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// Drives the runtime for ever, if it needs a driver.
pub(super) fn drive(runtime: &'static Runtime) {
    if needs_driver(runtime) {
        spawn(|| runtime.block_on(pending::<()>()));
    }
}

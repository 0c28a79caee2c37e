//! Tokio: the runtime of the bridge, which starts at its first use and can be shut down.

pub(crate) mod one_thread;
mod own;
#[cfg_attr(any(not(unix), pyo3_asyncio_no_unix), path = "tokio/no_readable.rs")]
mod readable;
#[cfg_attr(
    not(all(
        any(target_os = "android", target_os = "linux"),
        not(any(pyo3_asyncio_no_unix, pyo3_asyncio_pipe))
    )),
    path = "tokio/no_timer.rs"
)]
mod timer;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard, TryLockError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use self::own::{OwnRuntime, drive};
use crate::panic::silently;
use crate::sync::activity::Activity;
use crate::sync::generation::{PerProcess, generation_of_process};
use crate::sync::primitive::lock;

/// Tokio, as the bridge sees it.
#[derive(Debug)]
pub struct Tokio;

impl super::Runtime for Tokio {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Err(future) = one_thread::spawn_here(future) {
            handle().spawn(future);
        }
    }

    /// Tokio's `spawn_local` panics outside a `LocalSet` and a local runtime, and nothing else tells whether this thread is in
    /// one. It then drops the task, so the future waits outside the task until the first poll.
    fn spawn_local<F>(future: F) -> Result<(), F>
    where
        F: Future<Output = ()> + 'static,
    {
        let slot = Rc::new(Cell::new(Some(future)));
        let task = {
            let slot = Rc::clone(&slot);
            async move {
                if let Some(future) = slot.take() {
                    future.await;
                }
            }
        };
        match silently(|| drop(tokio::task::spawn_local(task))) {
            Some(()) => Ok(()),
            None => slot.take().map_or(Ok(()), Err),
        }
    }

    fn may_block() -> bool {
        // Tokio says so only by a panic. `spawn_blocking` and `block_in_place` are inside the runtime too, and may block.
        Handle::try_current().map_or(true, |handle| {
            silently(|| handle.block_on(async {})).is_some()
        })
    }

    fn enter<R>(function: impl FnOnce() -> R) -> R {
        let handle = one_thread::handle_here().unwrap_or_else(handle);
        let _entered = handle.enter();
        function()
    }

    fn enter_to_drop(function: impl FnOnce()) {
        if latest_handle().is_none() {
            start_for_drop();
        }
        enter_latest(function);
    }
}

/// Calls a function in the context of the latest runtime, if there was one.
pub(crate) fn enter_latest(function: impl FnOnce()) {
    let handle = latest_handle();
    let _entered = handle.as_ref().map(Handle::enter);
    function();
}

/// The handle of the runtime of this thread's loop, of the runtime of this process, or of the one that this thread is in. A runtime
/// that was shut down still has a context, and drops what is spawned on it.
fn latest_handle() -> Option<Handle> {
    let latest = || lock(&BRIDGE.get().latest).clone();
    one_thread::handle_here()
        .or_else(latest)
        .or_else(|| Handle::try_current().ok())
}

/// Starts the runtime for the drop of a value, because the program has not used it yet. Not in the child of a fork, where the value
/// is probably the parent's, and not while a thread starts it: that may be this one.
fn start_for_drop() {
    if let (0, Ok(mut running)) = (generation_of_process(), BRIDGE.get().running.try_write()) {
        start(&mut running);
    }
}

/// The runtime of this process. A child of a fork has none of its parent's threads, so it neither uses nor drops the parent's
/// runtime.
static BRIDGE: PerProcess<Bridge> = PerProcess::new(Bridge {
    running: RwLock::new(None),
    latest: Mutex::new(None),
    builder: Mutex::new(None),
});

#[derive(Default)]
struct Bridge {
    running: RwLock<Option<RunningTokio>>,
    /// The handle of the runtime that is running, or that was shut down last. Never locked while a runtime is built.
    latest: Mutex<Option<Handle>>,
    /// Builds the runtime again after a shutdown, and in the child of a fork.
    builder: Mutex<Option<Builder>>,
}

enum RunningTokio {
    Own(OwnRuntime),
    /// The program gave it to us, or `get_runtime` has returned it. It cannot be shut down.
    Shared(&'static Runtime),
}

impl RunningTokio {
    fn handle(&self) -> &Handle {
        match self {
            Self::Own(own) => own.handle(),
            Self::Shared(runtime) => runtime.handle(),
        }
    }
}

fn running() -> RwLockWriteGuard<'static, Option<RunningTokio>> {
    // Finds out about a fork that called no hooks, before anything starts.
    generation_of_process();
    BRIDGE
        .get()
        .running
        .write()
        .unwrap_or_else(PoisonError::into_inner)
}

fn build() -> Runtime {
    lock(&BRIDGE.get().builder)
        .get_or_insert_with(|| {
            inherited_builder().unwrap_or_else(|| {
                let mut builder = Builder::new_multi_thread();
                builder.enable_all();
                builder
            })
        })
        .build()
        .expect("the system has threads and descriptors for the tokio runtime")
}

/// The parent's builder. `None` if a thread of the parent was building with it during the fork: that thread holds its lock for
/// ever.
fn inherited_builder() -> Option<Builder> {
    let parents = BRIDGE.inherited().into_iter().rev();
    let mut builders = parents.map(|parent| match parent.builder.try_lock() {
        Ok(mut builder) => builder.take(),
        Err(TryLockError::Poisoned(builder)) => builder.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    });
    builders.find_map(|builder| builder)
}

/// The runtime was started before [`try_init`] or [`try_init_with_runtime`] was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlreadyStarted;

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the tokio runtime of pyo3-asyncio is already running, so the new one would never be used: \
             initialize it before the first conversion, for instance at the top of `main` or of the `#[pymodule]` function, \
             or after `shutdown`",
        )
    }
}

impl std::error::Error for AlreadyStarted {}

/// Sets the builder of the runtime, which is built at its first use. By default it is multi-threaded with everything enabled.
///
/// A `current_thread` runtime gets a thread that drives it. The builder is kept, and builds the runtime again after a
/// [`shutdown`](crate::tokio::shutdown) and in the child of a fork.
///
/// # Panics
///
/// If the runtime is already running, because the builder would have no effect. [`try_init`] returns an error instead.
///
/// ```
/// let mut builder = tokio::runtime::Builder::new_multi_thread();
/// builder.worker_threads(2).enable_all();
/// pyo3_asyncio::tokio::init(builder);
/// assert_eq!(pyo3_asyncio::tokio::handle().metrics().num_workers(), 2);
/// ```
#[track_caller]
pub fn init(builder: Builder) {
    if let Err(late) = try_init(builder) {
        panic!("{late}");
    }
}

/// Like [`init`], for a caller that cannot know whether the runtime is already running.
///
/// # Errors
///
/// [`AlreadyStarted`] if it is. The builder is then dropped.
///
/// ```
/// pyo3_asyncio::tokio::handle();
/// let late = pyo3_asyncio::tokio::try_init(tokio::runtime::Builder::new_current_thread());
/// assert!(late.is_err());
/// ```
pub fn try_init(builder: Builder) -> Result<(), AlreadyStarted> {
    let running = running();
    if running.is_some() {
        return Err(AlreadyStarted);
    }
    let previous = lock(&BRIDGE.get().builder).replace(builder);
    // The previous builder may own callbacks of the user, so it is dropped without the lock.
    drop(running);
    drop(previous);
    Ok(())
}

/// Makes an existing runtime the one that this crate uses.
///
/// A `current_thread` runtime gets a thread that drives it. Other threads may still call `block_on` on it. The child of a fork
/// has none of the runtime's threads, so it builds a new runtime.
///
/// # Errors
///
/// `()` if a runtime is already running. [`try_init_with_runtime`] returns a descriptive error.
#[expect(
    clippy::result_unit_err,
    reason = "pyo3-async-runtimes has this signature"
)]
pub fn init_with_runtime(runtime: &'static Runtime) -> Result<(), ()> {
    try_init_with_runtime(runtime).map_err(|AlreadyStarted| ())
}

/// Like [`init_with_runtime`], with a descriptive error.
///
/// # Errors
///
/// [`AlreadyStarted`] if a runtime is already running.
///
/// ```
/// use std::sync::LazyLock;
/// use tokio::runtime::Runtime;
///
/// static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("there are threads to be had"));
///
/// # fn main() -> Result<(), pyo3_asyncio::tokio::AlreadyStarted> {
/// pyo3_asyncio::tokio::try_init_with_runtime(&RUNTIME)
/// # }
/// ```
pub fn try_init_with_runtime(runtime: &'static Runtime) -> Result<(), AlreadyStarted> {
    let mut running = running();
    if running.is_some() {
        return Err(AlreadyStarted);
    }
    drive(runtime);
    set_latest(runtime.handle());
    *running = Some(RunningTokio::Shared(runtime));
    Ok(())
}

/// The handle of the runtime that this crate uses. Starts the runtime if it is not running.
///
/// The handle is valid until the next [`shutdown`](crate::tokio::shutdown), and in this process only. After a fork, the child
/// calls this function again.
///
/// # Panics
///
/// If the system cannot start the runtime, for lack of threads or descriptors.
pub fn handle() -> Handle {
    running_handle().unwrap_or_else(|| with_running(|running| running.handle().clone()))
}

fn running_handle() -> Option<Handle> {
    let running = BRIDGE.get().running.read();
    let running = running.unwrap_or_else(PoisonError::into_inner);
    running.as_ref().map(|running| running.handle().clone())
}

/// Calls a function with the runtime, which is started if it is not running.
fn with_running<R>(function: impl FnOnce(&mut RunningTokio) -> R) -> R {
    // An activity delays a fork, which must not find a half-built runtime.
    let _activity = Activity::enter_anyway();
    let mut running = running();
    function(start(&mut running))
}

fn start(running: &mut Option<RunningTokio>) -> &mut RunningTokio {
    running.get_or_insert_with(|| {
        let own = OwnRuntime::new(build());
        set_latest(own.handle());
        RunningTokio::Own(own)
    })
}

fn set_latest(handle: &Handle) {
    let previous = lock(&BRIDGE.get().latest).replace(handle.clone());
    drop(previous);
}

/// The runtime that this crate uses. Starts it if it is not running.
///
/// The reference may live for ever, so the runtime cannot be shut down after this call:
/// [`shutdown`](crate::tokio::shutdown) and the end of the process stop only the futures of this crate. Prefer [`handle`] where
/// it is enough.
///
/// # Panics
///
/// If the system cannot start the runtime, for lack of threads or descriptors.
pub fn get_runtime<'a>() -> &'a Runtime {
    with_running(|running| {
        let runtime = match running {
            RunningTokio::Own(own) => own.leak(),
            RunningTokio::Shared(runtime) => *runtime,
        };
        *running = RunningTokio::Shared(runtime);
        runtime
    })
}

/// Shuts down the runtime: its own threads drop its tasks and end. Whether they have ended within `patience`. If not, they end in
/// the background. A shared runtime only gets no more futures, and the result is `false`.
///
/// Called detached, because dropping a task may need the interpreter.
pub(crate) fn shutdown(patience: Duration) -> bool {
    let stopped = running().take();
    match stopped {
        None => true,
        Some(RunningTokio::Own(own)) => own.end(patience),
        Some(RunningTokio::Shared(_)) => false,
    }
}

/// The runtime options of an attribute.
#[cfg(feature = "attributes")]
#[derive(Debug)]
pub struct TokioOptions {
    /// Whether the flavor is `current_thread`.
    pub current_thread: bool,
    /// The number of workers of the `multi_thread` flavor, or tokio's default.
    pub worker_threads: Option<usize>,
}

#[cfg(feature = "attributes")]
impl TokioOptions {
    fn builder(self) -> Builder {
        let mut builder = if self.current_thread {
            Builder::new_current_thread()
        } else {
            Builder::new_multi_thread()
        };
        if let Some(worker_threads) = self.worker_threads {
            builder.worker_threads(worker_threads);
        }
        builder.enable_all();
        builder
    }
}

#[cfg(feature = "attributes")]
impl super::Standalone for Tokio {
    type Options = TokioOptions;

    fn init(options: TokioOptions) {
        init(options.builder());
    }

    #[cfg(feature = "testing")]
    fn block_on<F: Future>(options: Option<TokioOptions>, future: F) -> F::Output {
        match options {
            None => handle().block_on(future),
            Some(options) => {
                let runtime = options.builder().build();
                let runtime =
                    runtime.expect("the system has threads and descriptors for the test's runtime");
                runtime.block_on(future)
            }
        }
    }
}

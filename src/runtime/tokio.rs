//! Tokio: the bridge's runtime, which can be ended, unless somebody has a reference to it, and starts again at its next use.

mod local_set;
mod own;

use std::fmt;
use std::future::Future;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use self::own::{Own, drive};
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
        handle().spawn(future);
    }

    fn spawn_local<F>(future: F) -> Result<(), F>
    where
        F: Future<Output = ()> + 'static,
    {
        local_set::spawn_local(future)
    }

    fn may_block() -> bool {
        // Tokio answers by a panic, and rightly: inside of `spawn_blocking` and `block_in_place` one may.
        Handle::try_current().map_or(true, |handle| {
            silently(|| handle.block_on(async {})).is_some()
        })
    }

    fn enter<R>(function: impl FnOnce() -> R) -> R {
        let handle = handle();
        let _entered = handle.enter();
        function()
    }
}

static STATE: PerProcess<Mutex<State>> = PerProcess::new(Mutex::new(State {
    bridge: None,
    lent: None,
    in_use: false,
}));

/// The handle of the bridge's runtime: what every crossing needs, at little cost.
static RUNNING: PerProcess<RwLock<Option<Handle>>> = PerProcess::new(RwLock::new(None));

/// Kept, as a builder builds as often as it is asked to, in this process and in its children, which take it over.
static BUILDER: PerProcess<Mutex<Option<Builder>>> = PerProcess::new(Mutex::new(None));

#[derive(Default)]
struct State {
    bridge: Option<Bridge>,
    /// What `get_runtime` gives.
    lent: Option<&'static Runtime>,
    /// Somebody has used one of the two since the last shutdown.
    in_use: bool,
}

enum Bridge {
    Own(Own),
    /// The user's, which ends when he likes.
    Given,
}

fn build() -> Runtime {
    lock(BUILDER.get())
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

/// The one of the parent, unless a thread of the parent's was building with it when the process forked: it still has it.
fn inherited_builder() -> Option<Builder> {
    let inherited = BUILDER.inherited().into_iter().rev();
    let mut builders = inherited.map(|builder| match builder.try_lock() {
        Ok(mut builder) => builder.take(),
        Err(TryLockError::Poisoned(builder)) => builder.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    });
    builders.find_map(|builder| builder)
}

/// The state of this process. The runtimes of a parent have no threads here, and are neither used nor dropped.
fn state() -> MutexGuard<'static, State> {
    generation_of_process();
    lock(STATE.get())
}

fn running() -> RwLockReadGuard<'static, Option<Handle>> {
    RUNNING.get().read().unwrap_or_else(PoisonError::into_inner)
}

fn set_running(running: Option<Handle>) {
    let previous = {
        let mut current = RUNNING
            .get()
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut *current, running)
    };
    drop(previous);
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

/// Chooses how the runtime is built when it is first used. Without this call it is multi-threaded with everything enabled.
///
/// A `current_thread` runtime gets a thread of its own that drives it. The builder is kept: after a
/// [`shutdown`](crate::tokio::shutdown), and in the child of a fork, the runtime is built by it again.
///
/// # Panics
///
/// If the runtime is in use, so that the builder would be ignored. [`try_init`] gives an error then.
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

/// Like [`init`], for a caller that cannot know whether the runtime is in use already.
///
/// # Errors
///
/// [`AlreadyStarted`] if it is; the builder is then dropped.
///
/// ```
/// pyo3_asyncio::tokio::handle();
/// let late = pyo3_asyncio::tokio::try_init(tokio::runtime::Builder::new_current_thread());
/// assert!(late.is_err());
/// ```
pub fn try_init(builder: Builder) -> Result<(), AlreadyStarted> {
    let state = state();
    if state.in_use {
        return Err(AlreadyStarted);
    }
    let previous = lock(BUILDER.get()).replace(builder);
    // It may hold what the user gave it, such as callbacks.
    drop(state);
    drop(previous);
    Ok(())
}

/// Makes an existing runtime the one that everything here uses.
///
/// A `current_thread` runtime gets a thread of its own that drives it; whoever calls `block_on` on it too shares that work.
/// The child of a fork has none of the runtime's threads: there, a new runtime is built in its place.
///
/// # Errors
///
/// `()` if another runtime is in use. [`try_init_with_runtime`] says so in words.
#[expect(
    clippy::result_unit_err,
    reason = "it is the signature that pyo3-async-runtimes has"
)]
pub fn init_with_runtime(runtime: &'static Runtime) -> Result<(), ()> {
    try_init_with_runtime(runtime).map_err(|AlreadyStarted| ())
}

/// Like [`init_with_runtime`], with an error that says what was wrong.
///
/// # Errors
///
/// [`AlreadyStarted`] if another runtime is in use.
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
    let mut state = state();
    if state.in_use {
        return Err(AlreadyStarted);
    }
    drive(runtime);
    state.in_use = true;
    state.lent = Some(runtime);
    state.bridge = Some(Bridge::Given);
    set_running(Some(runtime.handle().clone()));
    Ok(())
}

/// The handle of the runtime that everything here uses, which is started if it is not running yet.
///
/// It is of use until the next [`shutdown`](crate::tokio::shutdown), and in this process: the child of a fork asks again.
///
/// # Panics
///
/// If the system cannot start the runtime, for want of threads or descriptors.
pub fn handle() -> Handle {
    let running = running().clone();
    running.unwrap_or_else(start)
}

#[cold]
fn start() -> Handle {
    // No process forks while a runtime is half built.
    let _activity = Activity::enter_anyway();
    let mut state = state();
    if let Some(handle) = &*running() {
        return handle.clone();
    }
    let own = Own::new(build());
    let handle = own.handle().clone();
    state.in_use = true;
    state.bridge = Some(Bridge::Own(own));
    set_running(Some(handle.clone()));
    handle
}

/// The runtime that everything here uses, started if it is not running yet.
///
/// A reference that may live for ever is to something that cannot be ended: after this call,
/// [`shutdown`](crate::tokio::shutdown) and the end of the process leave the runtime to itself, and only the bridge's own
/// futures stop. Where a [`handle`] will do, ask for that.
///
/// # Panics
///
/// If the system cannot start it, for want of threads or descriptors.
pub fn get_runtime<'a>() -> &'a Runtime {
    loop {
        let _running = handle();
        let mut state = state();
        if let (None, Some(Bridge::Own(own))) = (state.lent, &state.bridge) {
            let lent = own.lend();
            state.lent = Some(lent);
        }
        // None, if somebody has shut it down between the two lines.
        if let Some(runtime) = state.lent {
            return runtime;
        }
    }
}

/// Ends the bridge's runtime: its tasks are dropped, on its threads, and its threads end. Whether they have within `patience`;
/// if not, they go on ending in the background. One that was lent only gets no more futures, and the answer is no.
///
/// Called detached, since what the tasks' drops do may need the interpreter.
pub(crate) fn shutdown(patience: Duration) -> bool {
    let (bridge, lent) = {
        let mut state = state();
        state.in_use = false;
        set_running(None);
        (state.bridge.take(), state.lent.take())
    };
    match (bridge, lent) {
        (Some(Bridge::Own(own)), None) => own.end(patience),
        (Some(bridge), Some(_)) => {
            // Its threads run on, the one that drives it included.
            mem::forget(bridge);
            false
        }
        (Some(Bridge::Given), None) => false,
        (None, _) => true,
    }
}

/// What the options of an attribute say.
#[cfg(feature = "attributes")]
#[derive(Debug)]
pub struct TokioOptions {
    /// The flavor without workers.
    pub current_thread: bool,
    /// The workers of the other flavor, or as many as tokio chooses.
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
        // Nothing uses the runtime before `main` starts.
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

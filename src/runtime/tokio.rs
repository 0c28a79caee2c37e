//! Tokio: one runtime for the process, built at its first use.

mod local_set;

use std::fmt;
use std::future::{Future, pending};
use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock};

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::primitive::lock_std;

/// Tokio, as the bridge sees it.
#[derive(Debug)]
pub struct Tokio;

impl super::Runtime for Tokio {
    fn spawn<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        get_runtime().spawn(future);
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
            let blocked = local_set::silently(|| catch_unwind(|| handle.block_on(async {})));
            blocked.is_ok()
        })
    }

    fn enter<R>(function: impl FnOnce() -> R) -> R {
        let _entered = get_runtime().enter();
        function()
    }
}

static BUILDER: Mutex<Option<Builder>> = Mutex::new(None);
static RUNTIME: OnceLock<&'static Runtime> = OnceLock::new();

/// The runtime was started before [`init`] or [`init_with_runtime`] was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlreadyStarted;

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the tokio runtime of pyo3-asyncio is already running, so the new one would never be used: \
             initialize it before the first conversion, for instance at the top of `main` or of the `#[pymodule]` function",
        )
    }
}

impl std::error::Error for AlreadyStarted {}

/// Chooses how the runtime is built when it is first used. Without this call it is multi-threaded with everything enabled.
///
/// A `current_thread` runtime gets a thread of its own that drives it.
///
/// # Errors
///
/// [`AlreadyStarted`] if the runtime is in use; the builder is then dropped.
///
/// ```
/// let mut builder = tokio::runtime::Builder::new_multi_thread();
/// builder.worker_threads(2).enable_all();
/// pyo3_asyncio::tokio::init(builder)?;
/// assert_eq!(pyo3_asyncio::tokio::get_runtime().metrics().num_workers(), 2);
///
/// // Now it is too late for another.
/// assert!(pyo3_asyncio::tokio::init(tokio::runtime::Builder::new_current_thread()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn init(builder: Builder) -> Result<(), AlreadyStarted> {
    // Locked while the runtime is looked for: `get_runtime` builds under the same lock.
    let mut chosen = lock_std(&BUILDER);
    if RUNTIME.get().is_some() {
        return Err(AlreadyStarted);
    }
    *chosen = Some(builder);
    Ok(())
}

/// Makes an existing runtime the one that everything here uses.
///
/// A `current_thread` runtime gets a thread of its own that drives it; whoever calls `block_on` on it too shares that work.
///
/// # Errors
///
/// [`AlreadyStarted`] if another runtime is in use.
pub fn init_with_runtime(runtime: &'static Runtime) -> Result<(), AlreadyStarted> {
    let _building = lock_std(&BUILDER);
    RUNTIME.set(runtime).map_err(|_| AlreadyStarted)?;
    drive(runtime);
    Ok(())
}

/// The runtime that everything here uses, started if it is not running yet.
///
/// # Panics
///
/// If the system cannot start it, for want of threads or descriptors.
pub fn get_runtime<'a>() -> &'a Runtime {
    if let Some(runtime) = RUNTIME.get() {
        return runtime;
    }
    let mut chosen = lock_std(&BUILDER);
    RUNTIME.get_or_init(|| {
        let mut builder = chosen.take().unwrap_or_else(|| {
            let mut builder = Builder::new_multi_thread();
            builder.enable_all();
            builder
        });
        let runtime = builder
            .build()
            .expect("the system has threads and descriptors for the tokio runtime");
        let runtime = Box::leak(Box::new(runtime));
        drive(runtime);
        runtime
    })
}

/// A runtime without threads makes progress only while somebody blocks on it.
fn drive(runtime: &'static Runtime) {
    if runtime.handle().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return;
    }
    std::thread::Builder::new()
        .name("pyo3-asyncio-tokio".to_owned())
        .spawn(|| runtime.block_on(pending::<()>()))
        .expect("the system has a thread for the tokio runtime");
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
        init(options.builder()).expect("nothing uses the runtime before `main` starts");
    }

    #[cfg(feature = "testing")]
    fn block_on<F: Future>(options: Option<TokioOptions>, future: F) -> F::Output {
        match options {
            None => get_runtime().handle().block_on(future),
            Some(options) => {
                let runtime = options.builder().build();
                let runtime =
                    runtime.expect("the system has threads and descriptors for the test's runtime");
                runtime.block_on(future)
            }
        }
    }
}

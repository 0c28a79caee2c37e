//! The end and the forks of the process, and the [`Entry`] that every entry point must make.
//!
//! # Exit
//!
//! While Python finalizes, it kills each thread that tries to attach. Up to Python 3.13, the process aborts if that thread has
//! a Rust function on its stack. So this crate stops before Python finalizes:
//!
//! 1. The first crossing registers a callback with `atexit`. Python calls all callbacks, then drops them, and then finalizes.
//!    Our callback registers an object, and the *drop* of that object does what follows. So every other callback can still use
//!    Rust. A registry that is cleared does not end this crate, since the callback is not called.
//! 2. The drop waits for futures with `detach_on_cancel` that were cancelled, for [`DETACHED_PATIENCE`] at most.
//! 3. It ends our [background loops](crate::event_loop::background), in [`EXIT_PATIENCE`] at most. From then on, a
//!    thread that ends a `block_on` rests for ever: it may have waited for such a loop, and would print the error. So does a
//!    thread that needs another such loop.
//! 4. It closes the [guard](crate::sync::guard). No future that crosses is polled any more. An attached thread that makes
//!    an [`Entry`] detaches and rests for ever.
//! 5. It shuts down our tokio: the tasks are dropped and the threads end. Other runtimes cannot be shut down.
//! 6. It waits for activities that are under way. If they do not end within [`EXIT_PATIENCE`] after step 4, and within
//!    [`LOOKS`](activity::LOOKS) looks, Python finalizes all the same.
//! 7. A program may call the callbacks by hand and go on. The next [`Entry`] of the same thread then opens the guard, and
//!    registers again what ends this crate.
//!
//! # Fork
//!
//! Only the thread that forks exists in the child. What other threads had in hand stays as it was, locks included.
//!
//! 1. Before a fork, the forking thread holds the guard and waits for activities that are under way. If they do not end within
//!    [`FORK_PATIENCE`] and as many looks, it forks all the same. After the fork, the parent releases the guard.
//! 2. The child belongs to a new [generation](crate::sync::generation). It forgets the runtime, the mailboxes and the helper
//!    thread of its parent. It does not shut them down, because their threads do not exist in the child.
//! 3. What the child inherits, such as a Python future, never wakes a task of the parent: see
//!    [`Mailbox::is_inherited`](crate::event_loop::Mailbox::is_inherited).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pyo3::prelude::*;

use crate::sync::activity::{self, Activity, Patience};
use crate::sync::generation::{generation, generation_of_process};
use crate::{asyncio, event_loop, metrics, panic};

/// The longest time by which a step delays the end of a process.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);
/// The longest time by which futures with `detach_on_cancel` delay it in addition. A commit over a slow network takes less. A
/// service manager waits ten seconds or more before it kills a process.
const DETACHED_PATIENCE: Duration = Duration::from_secs(5);
/// How long a forking thread waits at least for the activities of other threads.
const FORK_PATIENCE: Duration = Duration::from_millis(250);

/// The token of an attached thread that calls this crate. Whatever opens a mailbox or starts a Rust future requires one. So no
/// entry point can forget what the constructor does:
///
/// - It registers the hooks of exit and fork.
/// - It installs the panic hook.
/// - It begins an [`Activity`], for which exit and fork wait.
pub(crate) struct Entry<'py> {
    py: Python<'py>,
    _activity: Activity,
}

impl<'py> Entry<'py> {
    /// Errors if Python cannot register the hooks of exit and fork.
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        /// The generation, plus one, that registered with `atexit`: a child of `multiprocessing` clears the registry.
        static AT_EXIT: AtomicU32 = AtomicU32::new(0);
        if AT_EXIT.load(Ordering::Relaxed) != generation() + 1 {
            let generation = generation_of_process() + 1;
            let before = AT_EXIT.swap(generation, Ordering::Relaxed);
            if before != generation {
                let watched = watch(py, before == 0);
                watched.inspect_err(|_| AT_EXIT.store(before, Ordering::Relaxed))?;
            }
        }
        // An error: Python imports nothing any more.
        if activity::ends_process() && !asyncio::is_finalizing(py).unwrap_or(true) {
            // Another callback may use Rust in its drop, just after ours. Python then calls nothing any more, and drops this too.
            AfterExit::register(py, generation_of_process())?;
            activity::open_if_closed_here();
        }
        let activity = loop {
            match Activity::enter_attached() {
                Ok(activity) => break activity,
                Err(_) => py.detach(activity::rest_while_closed),
            }
        };
        Ok(Self {
            py,
            _activity: activity,
        })
    }

    pub(crate) fn py(&self) -> Python<'py> {
        self.py
    }

    /// Runs user code detached, as a counted activity. Waits first if the process is forking.
    pub(crate) fn detach<R: Send>(&self, run: impl FnOnce() -> R + Send) -> R {
        self.py.detach(|| {
            activity::count_in();
            run()
        })
    }
}

/// Registers the hooks of this process. Those of a fork stay registered in every child.
fn watch(py: Python<'_>, is_first: bool) -> PyResult<()> {
    let at_exit = AtExit {
        generation: generation(),
    };
    asyncio::at_exit(Bound::new(py, at_exit)?.as_any())?;
    if is_first {
        asyncio::at_fork(Bound::new(py, AroundFork)?.as_any())?;
        py.detach(panic::install_hook);
    }
    Ok(())
}

/// The callback of `atexit`.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct AtExit {
    generation: u32,
}

#[pymethods]
impl AtExit {
    /// Registers what ends this crate. Python does not call it any more, and drops it with all callbacks.
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        AfterExit::register(py, self.generation)
    }
}

/// Its drop stops this crate. The thread that calls the callbacks makes it and drops it: without the GIL, an object of another
/// thread may be dropped there, or when Python has begun to finalize.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct AfterExit {
    generation: u32,
}

impl AfterExit {
    fn register(py: Python<'_>, generation: u32) -> PyResult<()> {
        asyncio::at_exit(Bound::new(py, Self { generation })?.as_any())
    }
}

#[pymethods]
impl AfterExit {
    /// `atexit` takes only what can be called.
    fn __call__(&self) {}
}

impl Drop for AfterExit {
    fn drop(&mut self) {
        if self.generation == generation_of_process() {
            #[expect(
                clippy::disallowed_methods,
                reason = "already attached: Python drops what holds this"
            )]
            Python::attach(|py| {
                py.detach(wait_for_detached);
                activity::give_up_waits();
                event_loop::background::end_all(py, EXIT_PATIENCE);
                end(py);
            });
        }
    }
}

/// Waits until the futures are done that go on though they were cancelled.
fn wait_for_detached() {
    let mut patience = Patience::new(DETACHED_PATIENCE);
    while metrics::Detached::count() > 0 && patience.look_again() {}
}

/// Steps 4 to 6 of the exit.
fn end(py: Python<'_>) {
    let patience = Patience::new(EXIT_PATIENCE);
    py.detach(|| {
        activity::close();
        #[cfg(feature = "tokio-runtime")]
        crate::runtime::tokio::shutdown(EXIT_PATIENCE);
    });
    wait_until_alone(py, patience);
}

/// Waits until no other thread is active, or until the patience is over.
///
/// Looks attached. So each look lets the thread that has the interpreter go on with its activity first.
fn wait_until_alone(py: Python<'_>, mut patience: Patience) {
    while !activity::is_alone() && py.detach(|| patience.look_again()) {}
}

/// Ends the bridge's tokio, on a thread that may be attached. False if it has not ended in time.
#[cfg(feature = "tokio-runtime")]
pub(crate) fn shutdown_tokio(patience: Duration) -> bool {
    use crate::runtime::tokio::shutdown;
    // `None`: there is no interpreter that a task could wait for.
    #[expect(
        clippy::disallowed_methods,
        reason = "to detach a thread that may be attached"
    )]
    Python::try_attach(|py| py.detach(|| shutdown(patience))).unwrap_or_else(|| shutdown(patience))
}

/// The hooks of `os.register_at_fork`.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct AroundFork;

#[pymethods]
impl AroundFork {
    fn before_fork(&self, py: Python<'_>) {
        activity::hold();
        // Attached: from the last look to the fork, no other thread begins anything either.
        wait_until_alone(py, Patience::new(FORK_PATIENCE));
    }

    fn after_fork_in_parent(&self) {
        activity::release();
    }

    fn after_fork_in_child(&self, py: Python<'_>) {
        generation_of_process();
        event_loop::forget_parents(py);
    }
}

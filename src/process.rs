//! The process around us: what every entry point owes it, and what becomes of the bridge when it ends or forks.
//!
//! # Exit
//!
//! Python kills a thread that wants the interpreter during its finalization. Up to 3.13 no Rust function on the stack of that
//! thread survives this, and the process aborts. So the bridge ends before:
//!
//! 1. The first crossing registers a callback with `atexit`. Python drops its callbacks when the last one has returned, and
//!    finalizes the interpreter with nothing in between. So the drop of ours is the moment to end everything. Every
//!    callback of the program's can still use Rust.
//! 2. The [guard](crate::sync::guard) closes. No future that crosses is polled any more, and an attached thread that
//!    [enters](Entry) rests for ever, detached.
//! 3. The bridge's tokio is shut down: its tasks are dropped, its threads end. Other runtimes cannot be ended.
//! 4. What is under way may finish, for [`EXIT_PATIENCE`] at most. The hook waits for it detached.
//! 5. If the process goes on after all, since a program called the callbacks by hand, the next use by the same thread
//!    opens the guard.
//!
//! # Fork
//!
//! Only the thread that forks exists in the child. Whatever another thread had in hand stays as it was, locks included. So
//!
//! 1. before a fork the guard is held, and what is under way may finish, for [`LOOKS_BEFORE_FORK`] looks at most. After the
//!    fork the parent releases its guard.
//! 2. The child belongs to a new [generation](crate::sync::generation). It forgets the runtime, the mailboxes and the helper
//!    thread of its parent, and does not end them: their threads are not there to answer.
//! 3. What the child inherits, such as a Python future, never wakes a task of the parent: see
//!    [`Mailbox::is_inherited`](crate::event_loop::Mailbox::is_inherited).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::sync::activity::{self, Activity};
use crate::sync::generation::{generation, generation_of_process};
use crate::{asyncio, event_loop, panic};

/// How much later a process may end for our sake.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);
/// How often a fork looks whether the activities that are under way have ended: a quarter of a second on a quiet machine. It
/// is longer where threads compete for processors and for the interpreter, since both the looks and the activities are.
const LOOKS_BEFORE_FORK: u32 = 2000;

/// The token of an attached thread that comes into our code from outside. Whatever reaches a runtime or an event loop asks for
/// one, so that no entry point can forget what its constructor does:
///
/// - it watches the end and the forks of the process,
/// - it installs the panic hook,
/// - it counts the thread among those that exit and fork wait for.
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
            if AT_EXIT.swap(generation, Ordering::Relaxed) != generation {
                watch(py).inspect_err(|_| AT_EXIT.store(0, Ordering::Relaxed))?;
            }
        }
        // An error: Python imports nothing any more.
        if activity::ends_process() && !asyncio::is_finalizing(py).unwrap_or(true) {
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

    /// Runs user code detached. It is counted: if the process forks just now, it waits.
    pub(crate) fn detach<R: Send>(&self, run: impl FnOnce() -> R + Send) -> R {
        self.py.detach(|| {
            activity::count_in();
            run()
        })
    }
}

/// Registers the hooks of this process.
fn watch(py: Python<'_>) -> PyResult<()> {
    static IS_WATCHED: AtomicBool = AtomicBool::new(false);
    let at_exit = AtExit {
        generation: generation(),
        was_called: AtomicBool::new(false),
    };
    asyncio::at_exit(Bound::new(py, at_exit)?.as_any())?;
    // Both are for ever, and hold in every child.
    if !IS_WATCHED.swap(true, Ordering::Relaxed) {
        asyncio::at_fork(Bound::new(py, AroundFork)?.as_any())?;
        py.detach(panic::install_hook);
    }
    Ok(())
}

/// The callback of `atexit`. Its drop ends the bridge.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct AtExit {
    generation: u32,
    /// Without a call, the registry was cleared, and the process does not end.
    was_called: AtomicBool,
}

#[pymethods]
impl AtExit {
    fn __call__(&self) {
        self.was_called.store(true, Ordering::Relaxed);
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        if *self.was_called.get_mut() && self.generation == generation_of_process() {
            #[expect(
                clippy::disallowed_methods,
                reason = "already attached: Python drops what holds this"
            )]
            Python::attach(|py| py.detach(end));
        }
    }
}

/// Ends the bridge, detached.
fn end() {
    let deadline = Instant::now() + EXIT_PATIENCE;
    activity::close();
    #[cfg(feature = "tokio-runtime")]
    crate::runtime::tokio::shutdown(EXIT_PATIENCE);
    activity::wait_until_alone(deadline);
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
        for _ in 0..LOOKS_BEFORE_FORK {
            // Attached: from here to the fork, no other thread begins anything either.
            if activity::is_alone() {
                break;
            }
            // Detached, since an activity that needs the interpreter would not end otherwise.
            py.detach(activity::look_again);
        }
    }

    fn after_fork_in_parent(&self) {
        activity::release();
    }

    fn after_fork_in_child(&self, py: Python<'_>) {
        generation_of_process();
        event_loop::forget_parents(py);
    }
}

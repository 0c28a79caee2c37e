//! The process around us: what becomes of the bridge when it ends, and when it forks.
//!
//! # The end
//!
//! Python calls what `atexit` has registered before it finalizes the interpreter. A thread that runs Python code during the
//! finalization is killed or stopped, with whatever it has on its stack. So the hook ends everything before:
//!
//! 1. The [`gate`] closes: no future that crosses is polled any more, on any runtime, and a daemon thread that
//!    comes into our code [stays](turn) there.
//! 2. The bridge's tokio is shut down: its tasks are dropped, its threads end. Other runtimes cannot be ended.
//! 3. What is under way may finish, as the hook waits for it detached, but not for longer than [`EXIT_PATIENCE`].
//! 4. Who is in Python code even then is [kept there](stay), for the interpreter's end would end the process.
//! 5. Nobody is told of all that, as a daemon thread would make noise of it. But what `atexit` calls after the hook may
//!    begin something new: for its sake the gate opens to steps, not to the turns of other threads. Or it may wait for something
//!    old: the gate opens to everybody after [`REOPENED_AFTER`].
//! 6. What goes on then is ended once more. When its last callback has returned, Python drops what was registered, and
//!    finalizes the interpreter with nothing between: so the last of ours that it calls is the [hook's own drop](AtExit).
//! 7. A thread that was kept comes in, or is among those to be looked for, before it attaches again: whoever ends
//!    everything once more sees it.
//!
//! # Fork
//!
//! Only the thread that forks is in the child. Whatever another thread had in hand stays as it was at that moment, locks
//! included. So
//!
//! 1. before a fork the gate is held, and the steps that are under way may finish, but not for longer than
//!    [so many looks](gate::LOOKS_BEFORE_FORK) take. After it the parent's gate is released.
//! 2. The child belongs to a new [generation](gate::generation). Runtime, mailboxes and helper thread of another generation
//!    are forgotten, not ended: their threads are not there to answer, and dropping what is theirs would be done twice.
//! 3. What the child inherits, such as a Python future, never wakes a task of the parent's: see
//!    [`Mailbox::is_inherited`](crate::mailbox::Mailbox::is_inherited).

mod stay;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::asyncio;
use crate::gate::{self, Who};
use crate::primitive::lock_std;

/// How much later a process may end for our sake.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

/// When somebody who still waits after the end is told.
const REOPENED_AFTER: Duration = Duration::from_millis(500);

/// What the child of a fork does, besides what every room does by the generation.
type Forked = fn(Python<'_>);

static FORKED: Mutex<Option<Forked>> = Mutex::new(None);

/// Watches the end and the forks of this process, from the first call on.
pub(crate) fn watch(py: Python<'_>, forked: Forked) -> PyResult<()> {
    /// The generation, plus one, that has registered with `atexit`: a child of `multiprocessing` clears the registry.
    static AT_EXIT: AtomicU32 = AtomicU32::new(0);
    let generation = gate::generation_of_process() + 1;
    if AT_EXIT.swap(generation, Ordering::Relaxed) == generation {
        return Ok(());
    }
    asyncio::at_exit(Bound::new(py, AtExit::default())?.as_any())?;
    let first = {
        let mut registered = lock_std(&FORKED);
        registered.replace(forked).is_none()
    };
    if first {
        // For ever, and in every child.
        asyncio::at_fork(Bound::new(py, AroundFork)?.as_any())?;
    }
    Ok(())
}

/// Begins something in a Python thread. A daemon thread that comes when the process ends stays here: if it were attached,
/// and inside of our code, when the interpreter is finalized, Python would kill it in a way that no Rust function survives.
pub(crate) fn turn(py: Python<'_>) -> gate::Step {
    gate::turn(|| name(py)).unwrap_or_else(|| {
        py.detach(|| {
            while !gate::come_in() {
                gate::wait_until_open();
            }
        });
        gate::attached_step()
    })
}

/// Runs code of the user's in the midst of a [`turn`], detached.
pub(crate) fn detach<R: Send>(py: Python<'_>, run: impl FnOnce() -> R + Send) -> R {
    py.detach(|| gate::detached(run))
}

/// What Python calls this thread. 0 if it does not say.
pub(crate) fn name(py: Python<'_>) -> usize {
    asyncio::thread_ident(py).unwrap_or(0)
}

/// Ends the bridge's tokio, detached. Whether it has ended in time.
#[cfg(feature = "tokio-runtime")]
pub(crate) fn shutdown_tokio(patience: Duration) -> bool {
    use crate::runtime::tokio::shutdown;
    // `None`: there is no interpreter that a task could wait for.
    Python::try_attach(|py| py.detach(|| shutdown(patience))).unwrap_or_else(|| shutdown(patience))
}

/// The hook of `atexit`, which nobody else holds: called, it ends the bridge, and dropped, it does so once more.
#[pyclass(frozen, module = "pyo3_asyncio")]
#[derive(Default)]
struct AtExit(Mutex<Option<Reopener>>);

#[pymethods]
impl AtExit {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let kept = end(py);
        *lock_std(&self.0) = Some(Reopener::start());
        kept
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        // `None`: the registry was cleared, the process does not end.
        let Some(reopener) = lock_std(&self.0).take() else {
            return;
        };
        if reopener.generation != gate::generation() {
            std::mem::forget(reopener);
            return;
        }
        Python::attach(|py| {
            py.detach(|| reopener.stop());
            if !gate::is_closed_to(Who::Step) {
                if let Err(error) = end(py) {
                    error.write_unraisable(py, None);
                }
            }
        });
        // Whoever called the callbacks by hand goes on living.
        std::mem::forget(Reopener::start());
    }
}

/// Ends everything, as told above.
fn end(py: Python<'_>) -> PyResult<()> {
    let deadline = Instant::now() + EXIT_PATIENCE;
    gate::close();
    #[cfg(feature = "tokio-runtime")]
    let ended = shutdown_tokio(EXIT_PATIENCE);
    #[cfg(not(feature = "tokio-runtime"))]
    let ended = true;
    let empty = py.detach(|| gate::wait_until_empty(deadline));
    // A thread of Python 3.14 stays by itself where the interpreter's end finds it.
    if (ended && empty) || py.version_info() >= (3, 14) {
        return Ok(());
    }
    stay::keep_all(py)
}

/// Opens the gate after [`REOPENED_AFTER`], unless it is stopped or the interpreter is being finalized.
struct Reopener {
    generation: u32,
    /// `None`: there is no thread to be had, so nobody opens the gate but who begins something new.
    thread: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Reopener {
    fn start() -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("pyo3-asyncio".to_owned());
        let thread = thread.spawn(move || {
            if stopped.recv_timeout(REOPENED_AFTER) == Err(RecvTimeoutError::Timeout) {
                let _ = Python::try_attach(|py| py.detach(gate::open));
            }
        });
        Self {
            generation: gate::generation(),
            thread: thread.ok().map(|thread| (stop, thread)),
        }
    }

    /// Detached.
    fn stop(self) {
        if let Some((stop, thread)) = self.thread {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// The hooks of `os.register_at_fork`.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct AroundFork;

#[pymethods]
impl AroundFork {
    fn before_fork(&self, py: Python<'_>) {
        gate::hold();
        for _ in 0..gate::LOOKS_BEFORE_FORK {
            // Attached: from here to the fork, no turn begins either.
            if gate::is_empty() {
                break;
            }
            // Detached, since a step that needs the interpreter would not end otherwise, and attached again each time, which
            // takes as long as it takes such a step.
            py.detach(gate::look_again);
        }
    }

    fn after_fork_in_parent(&self) {
        gate::release();
    }

    fn after_fork_in_child(&self, py: Python<'_>) {
        gate::generation_of_process();
        let forked = *lock_std(&FORKED);
        if let Some(forked) = forked {
            forked(py);
        }
    }
}

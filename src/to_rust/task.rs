//! A Python task as a Rust future.
//!
//! # The way of a task
//!
//! 1. `into_future` posts the job [`Start`], which wraps the awaitable in a task on its loop. If the loop closes before that,
//!    the job's drop says so.
//! 2. The task's done callback, [`Completion`], brings its outcome. Until then the execution is anchored in the mailbox: if
//!    the loop closes first, the Rust side is told.
//! 3. A dropped [`PyTask`] gives the task up: an awaitable that was not started is never started, a task that runs is
//!    cancelled on its own loop. What it returns or raises after that is not looked at, so that asyncio itself reports an
//!    error that nobody sees. The same holds for a detached one, except that it is not cancelled.
//!
//! The protocol between the two threads is told in [`handoff`](crate::sync::handoff).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::asyncio;
use crate::error::{LoopClosed, rust_panic};
use crate::event_loop::{Mailbox, Watcher, WatcherKey};
use crate::locals::TaskLocals;
use crate::metrics::PythonToRust;
use crate::panic::catch;
use crate::process::Entry;
use crate::sync::handoff::{GivenUp, Handoff, Interest};
use crate::sync::primitive::lock;
use crate::trace;

/// A Python awaitable that a Rust future awaits, made by [`tokio::into_future`](crate::tokio::into_future) and its kin.
///
/// Its output is what `await` would give in Python: the value, or the very exception, with its traceback. A cancelled task
/// ends it with `asyncio.CancelledError`, a loop that closes before with [`LoopClosed`](crate::err::LoopClosed).
///
/// The awaitable starts at once, as a task of its event loop, and not only when this is polled. *Dropping this cancels the
/// task*, as dropping any Rust future ends its work: a `timeout` or a `select!` around it does what it says. To let
/// the task run on instead, [`detach`](Self::detach) it.
///
/// It is `Send` and may be polled on any thread, attached to the interpreter or not.
#[must_use = "dropping a PyTask cancels the Python task; detach it to let it run on"]
pub struct PyTask(Arc<Execution>);

/// What the Rust future and the Python task share.
struct Execution {
    mailbox: Mailbox,
    handoff: Handoff<Py<PyAny>, PyResult<Py<PyAny>>>,
    watching: Mutex<Option<WatcherKey>>,
    span: trace::Span,
    in_flight: PythonToRust,
}

/// Starts a Python awaitable as a task on the loop and in the context of `locals` and gives a Rust future of its result.
///
/// Locals without a context take this thread's current one. Called on any thread that is attached to the interpreter.
///
/// # Errors
///
/// `TypeError` if the object cannot be awaited, [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
pub fn into_future_with_locals(
    locals: &TaskLocals,
    awaitable: Bound<'_, PyAny>,
) -> PyResult<PyTask> {
    let py = awaitable.py();
    let entry = Entry::new(py)?;
    if !asyncio::is_awaitable(&awaitable)? {
        return Err(PyTypeError::new_err(format!(
            "an awaitable is required (a coroutine, a task, a future, or an object with __await__), not {}: {awaitable:?}",
            awaitable.get_type().fully_qualified_name()?
        )));
    }
    let event_loop = locals.event_loop(py);
    let context = match locals.context(py) {
        context if context.is_none() => asyncio::copy_context(py)?,
        context => context,
    };
    let mailbox = match Mailbox::of(&entry, &event_loop) {
        Ok(mailbox) => mailbox,
        Err(error) => {
            asyncio::close_unstarted(&awaitable)?;
            return Err(error);
        }
    };
    let execution = Arc::new(Execution {
        mailbox: mailbox.clone(),
        handoff: Handoff::new(),
        watching: Mutex::new(None),
        span: trace::Span::python_to_rust(mailbox.address(), || asyncio::name_of(&awaitable)),
        in_flight: PythonToRust::start(),
    });
    let posted = execution.span.post();
    let start = Start {
        execution: Arc::clone(&execution),
        awaitable: Some(awaitable.unbind()),
        event_loop: event_loop.unbind(),
        context: context.unbind(),
    };
    // If the loop has just closed, the job that comes back tells the task so as it drops.
    let job = move |py: Python<'_>| {
        posted.arrive();
        start.run(py)
    };
    mailbox.post(Box::new(job));
    Ok(PyTask(execution))
}

/// Like [`into_future_with_locals`], on `event_loop` and in this thread's current context.
///
/// # Errors
///
/// Those of [`into_future_with_locals`].
pub fn into_future_with_loop(
    event_loop: Bound<'_, PyAny>,
    awaitable: Bound<'_, PyAny>,
) -> PyResult<PyTask> {
    into_future_with_locals(&TaskLocals::new(event_loop), awaitable)
}

impl PyTask {
    /// Whether the Python task is done, so that the next poll gives its outcome.
    ///
    /// Also true once the outcome was taken, and if the loop closed. Callable from any thread, attached or not.
    pub fn is_finished(&self) -> bool {
        self.0.mailbox.is_inherited() || self.0.handoff.is_finished()
    }

    /// Lets the Python task run on without anybody awaiting it.
    ///
    /// An error that it ends with goes where asyncio sends those of such tasks: to the loop's exception handler. Callable
    /// from any thread.
    pub fn detach(self) {
        if self.0.mailbox.is_inherited() {
            return;
        }
        if let Some(outcome) = self.0.handoff.detach() {
            self.0.report(outcome);
        }
    }
}

impl Future for PyTask {
    type Output = PyResult<Py<PyAny>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0.mailbox.is_inherited() {
            return Poll::Ready(Err(LoopClosed::new_err(
                "the Python awaitable runs in the parent of this process, which has forked since: it never ends here",
            )));
        }
        match self.0.handoff.poll(cx.waker()) {
            Poll::Pending if self.0.mailbox.is_blocked_here() => Poll::Ready(Err(loop_blocked())),
            polled => polled,
        }
    }
}

impl Drop for PyTask {
    fn drop(&mut self) {
        if self.0.mailbox.is_inherited() {
            return;
        }
        match self.0.handoff.give_up() {
            GivenUp::Nothing => {}
            GivenUp::Task => self.0.cancel(),
            GivenUp::Outcome(outcome) => self.0.report(outcome),
        }
    }
}

impl fmt::Debug for PyTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyTask").finish_non_exhaustive()
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if self.mailbox.is_inherited() {
            self.in_flight.disown();
        }
    }
}

impl Execution {
    /// Brings the outcome, on the loop's thread. Gives it back if nobody wants it.
    #[must_use = "an outcome that comes back may be an error"]
    fn finish(&self, outcome: PyResult<Py<PyAny>>) -> Option<PyResult<Py<PyAny>>> {
        self.unwatch();
        self.handoff.finish(outcome)
    }

    /// Cancels the running task, on its loop.
    fn cancel(self: &Arc<Self>) {
        let execution = Arc::clone(self);
        let cancel = move |py: Python<'_>| match execution.handoff.take_task() {
            Some(task) => asyncio::cancel(task.bind(py)),
            None => Ok(()),
        };
        // A closed loop has nothing to cancel.
        self.mailbox.post(Box::new(cancel));
    }

    /// Ends an awaitable that will not be awaited: a coroutine is closed, so that Python does not warn of it, and a task or a
    /// future is cancelled, as it is when a task that awaits it is. Other objects have nothing to end.
    fn give_up_unstarted(&self, awaitable: &Bound<'_, PyAny>) -> PyResult<()> {
        if asyncio::is_future(awaitable)? {
            asyncio::cancel(awaitable)
        } else {
            asyncio::close_unstarted(awaitable)
        }
    }

    /// Tells the loop's exception handler of an error that nobody on the Rust side has taken.
    fn report(&self, outcome: PyResult<Py<PyAny>>) {
        let Err(error) = outcome else {
            return;
        };
        let report = move |py: Python<'_>| {
            if asyncio::is_cancelled_error(py, &error)? {
                return Ok(());
            }
            let event_loop = asyncio::get_running_loop(py)?;
            let message = "Task exception was never retrieved";
            let error = error.into_value(py).into_bound(py).into_any();
            asyncio::call_exception_handler(&event_loop, message, &error, None, None)
        };
        // A closed loop has no exception handler any more.
        self.mailbox.post(Box::new(report));
    }

    fn unwatch(&self) {
        let key = lock(&self.watching).take();
        if let Some(key) = key {
            self.mailbox.unwatch(key);
        }
    }
}

impl Watcher for Execution {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.handoff.with_task(|task| visit.call(task));
        visited.unwrap_or(Ok(()))
    }

    fn loop_closed(&self, py: Python<'_>) {
        *lock(&self.watching) = None;
        let is_detached = self.handoff.interest() == Interest::Progress;
        let task = self.handoff.with_task(|task| task.clone_ref(py));
        // Who does not want an outcome need not hear of this one either.
        drop(self.handoff.finish(Err(loop_closed())));
        if let (Some(task), false) = (task, is_detached) {
            // Whoever awaits it is told: asyncio need not print it.
            let quiet = asyncio::let_die_pending(task.bind(py));
            if let Err(error) = quiet {
                error.write_unraisable(py, Some(task.bind(py)));
            }
        }
    }
}

fn loop_closed() -> PyErr {
    LoopClosed::new_err("the event loop was closed before the Python awaitable was done")
}

fn loop_blocked() -> PyErr {
    PyRuntimeError::new_err(
        "this would wait for ever: the Python awaitable runs on the event loop of this very thread, which stands still while \
         block_on waits. Export the function with future_into_py and `await` it there, or call it in another thread \
         (asyncio.to_thread)",
    )
}

/// The job that starts the task. Dropped unrun, it says that the loop is closed.
struct Start {
    execution: Arc<Execution>,
    awaitable: Option<Py<PyAny>>,
    event_loop: Py<PyAny>,
    context: Py<PyAny>,
}

impl Start {
    fn run(mut self, py: Python<'_>) -> PyResult<()> {
        let Some(awaitable) = self.awaitable.take() else {
            return Ok(());
        };
        let awaitable = awaitable.bind(py);
        if self.execution.handoff.interest() == Interest::Nothing {
            return self.execution.give_up_unstarted(awaitable);
        }
        let event_loop = self.event_loop.bind(py);
        let start = || asyncio::start_task(event_loop, awaitable, self.context.bind(py));
        match catch(start).unwrap_or_else(|panic| Err(rust_panic(py, panic))) {
            Ok(task) => {
                if let Err(error) = self.started(&task) {
                    // Whatever it is: the Rust side must not wait for a callback that was not registered. The loop is told
                    // too, whoever else wants it.
                    drop(self.execution.finish(Err(error.clone_ref(py))));
                    return Err(error);
                }
                Ok(())
            }
            Err(error) if asyncio::ends_the_loop(py, &error) => {
                // It may have struck when the task was there already: the coroutine is left alone.
                drop(self.execution.finish(Err(error.clone_ref(py))));
                Err(error)
            }
            Err(error) => {
                if let Some(outcome) = self.execution.finish(Err(error)) {
                    self.execution.report(outcome);
                }
                asyncio::close_unstarted(awaitable)
            }
        }
    }

    fn started(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let completion = Completion(Arc::clone(&self.execution));
        if asyncio::done(task)? {
            completion.bring(task);
            return Ok(());
        }
        let execution = &self.execution;
        let key = execution
            .mailbox
            .watch(Arc::clone(execution) as Arc<dyn Watcher>);
        *lock(&execution.watching) = key;
        asyncio::add_done_callback(task, Bound::new(task.py(), completion)?.as_any())?;
        if execution.handoff.started(task.clone().unbind()) {
            asyncio::cancel(task)?;
        }
        Ok(())
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        let Some(awaitable) = self.awaitable.take() else {
            return;
        };
        // Both places that drop jobs are attached: `into_future`, when the mailbox refuses, and the loop's closing.
        let _ = Python::try_attach(|py| {
            if let Err(error) = asyncio::close_unstarted(awaitable.bind(py)) {
                error.write_unraisable(py, Some(awaitable.bind(py)));
            }
        });
        drop(self.execution.finish(Err(loop_closed())));
    }
}

/// The done callback of the task.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Completion(Arc<Execution>);

#[pymethods]
impl Completion {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        self.bring(task);
    }
}

impl Completion {
    fn bring(&self, task: &Bound<'_, PyAny>) {
        if self.0.mailbox.is_inherited() {
            // Who awaits it is in the parent.
            return;
        }
        if self.0.handoff.interest() == Interest::Outcome {
            let outcome = asyncio::result(task).map(Bound::unbind);
            // Whoever left meanwhile did so when asyncio had already taken note that the outcome is seen.
            if let Some(outcome) = self.0.finish(outcome) {
                self.0.report(outcome);
            }
        } else {
            // Nobody looks at the outcome, so that asyncio reports an error itself.
            self.0.unwatch();
        }
    }
}

//! A Python task as a Rust future.
//!
//! # Protocol
//!
//! 1. `into_future` posts the job [`StartTask`], which wraps the awaitable in a task on its loop. For `run_coroutine`, the job
//!    first calls the function, and then wraps the awaitable that it returns. If the loop closes before that, dropping the job
//!    settles the Rust side with `LoopClosed`.
//! 2. The done callback of the task, `Completion`, delivers the outcome. Until then the [`Execution`] watches the loop, and
//!    settles the Rust side with `LoopClosed` if the loop closes first.
//! 3. Dropping the [`PyTask`] gives up the task. An awaitable that has not started never starts. A running task is cancelled on
//!    its loop, unless it is the task of a [stream](super::stream) that cleans up.
//! 4. A detached task is not cancelled.
//! 5. The outcome of a task that was given up or detached is not retrieved, so asyncio itself reports an error. The error has a
//!    note of where in Rust the task was started. If it was retrieved already, this module reports the error.
//!
//! [`handoff`](crate::sync::handoff) is the protocol between the two threads.

mod start;

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::call::{Function, report};
use super::convert::Convert;
use super::given_up::GivenUpTasks;
use crate::asyncio;
use crate::error::LoopClosed;
use crate::event_loop::{Mailbox, Watcher, WatcherKey};
use crate::locals::{TaskLocals, is_blocked_here};
use crate::metrics::PythonToRust;
use crate::process::Entry;
use crate::sync::handoff::{GivenUp, Handoff, Interest, POLLED_AGAIN};
use crate::sync::primitive::lock;
use crate::trace::Spans;
use crate::user_value::UserValue;
use start::{Source, StartTask, check_awaitable};

/// A Python awaitable as a Rust future, made by [`tokio::into_future`](crate::tokio::into_future) and similar functions.
///
/// Its output is the result of `await` in Python: the value, or the same exception with its traceback. If the task is cancelled,
/// the output is `asyncio.CancelledError`. If the loop closes first, it is [`LoopClosed`].
///
/// The awaitable starts at once, as a task of its event loop, and not at the first poll. *Dropping this cancels the task*, as
/// dropping any Rust future ends its work, so that `timeout` and `select!` work as expected. To let the task run on,
/// [`detach`](Self::detach) it.
#[must_use = "dropping a PyTask cancels the Python task; detach it to let it run on"]
pub struct PyTask(Result<Arc<Execution>, Option<PyErr>>);

/// What the Rust future and the Python task share.
pub(super) struct Execution {
    mailbox: Mailbox,
    handoff: Handoff<Py<PyAny>, PyResult<Py<PyAny>>>,
    /// Set before the handoff asks for a conversion.
    conversion: Mutex<Option<Box<dyn Convert>>>,
    watching: Mutex<Option<WatcherKey>>,
    cleans_up: Option<CleansUp>,
    made_at: &'static Location<'static>,
    spans: Spans,
    in_flight: PythonToRust,
}

/// Whether a task has begun to clean up by itself, which a cancellation would interrupt. Used on the loop's thread only.
pub(super) type CleansUp = Arc<AtomicBool>;

/// Starts a Python awaitable as a task on the loop and in the context of `locals`, and returns a Rust future of its result.
///
/// If `locals` has no context, the task runs in this thread's current context.
///
/// # Errors
///
/// `TypeError` if the object cannot be awaited, [`LoopClosed`] if the loop is closed.
#[track_caller]
pub fn into_future_with_locals(
    locals: &TaskLocals,
    awaitable: Bound<'_, PyAny>,
) -> PyResult<PyTask> {
    let py = awaitable.py();
    let entry = Entry::new(py)?;
    check_awaitable(&awaitable)?;
    let event_loop = locals.event_loop(py);
    let context = locals.context_for_call(py)?;
    let mailbox = match Mailbox::of(&entry, &event_loop) {
        Ok(mailbox) => mailbox,
        Err(error) => {
            asyncio::close_unstarted(&awaitable)?;
            return Err(error);
        }
    };
    let name = || asyncio::name_of(&awaitable);
    let execution = Execution::new(mailbox.clone(), name, None, Location::caller());
    let source = Source::Awaitable {
        awaitable: awaitable.clone().unbind(),
        context: context.unbind(),
    };
    Ok(execution.post(locals.clone(), source))
}

/// Calls a function on the thread of the event loop, and awaits there the awaitable that it returns.
#[track_caller]
pub(crate) fn run_coroutine<F>(locals: PyResult<TaskLocals>, function: F) -> PyTask
where
    F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
{
    let made_at = Location::caller();
    let function = UserValue::of_any_runtime(function);
    let found = locals.and_then(|locals| Ok((locals.mailbox()?, locals)));
    match found {
        Ok((mailbox, locals)) => {
            let function = Box::new(move |py: Python<'_>| Ok(function.into_inner()(py)?.unbind()));
            let name = type_name::<F>().into();
            PyTask::call(mailbox, locals, name, function, None, made_at)
        }
        Err(error) => PyTask(Err(Some(error))),
    }
}

/// Like [`into_future_with_locals`], on `event_loop` and in this thread's current context.
///
/// # Errors
///
/// The errors of [`into_future_with_locals`].
#[track_caller]
pub fn into_future_with_loop(
    event_loop: Bound<'_, PyAny>,
    awaitable: Bound<'_, PyAny>,
) -> PyResult<PyTask> {
    into_future_with_locals(&TaskLocals::new(event_loop), awaitable)
}

impl PyTask {
    /// Calls a function on the thread of the event loop, and awaits there the awaitable that it returns.
    pub(super) fn call(
        mailbox: Mailbox,
        locals: TaskLocals,
        name: Cow<'static, str>,
        function: Function,
        cleans_up: Option<CleansUp>,
        made_at: &'static Location<'static>,
    ) -> Self {
        let span_name = || name.clone().into_owned();
        let execution = Execution::new(mailbox, span_name, cleans_up, made_at);
        execution.post(locals, Source::Call { name, function })
    }

    /// Cancels the Python task. The outcome is then a success, unless the task raises something else.
    pub(super) fn cancel(&self) {
        if let Some(execution) = self.execution() {
            execution.cancel();
        }
    }

    /// Whether the Python task is done, so that the next poll returns its outcome.
    ///
    /// Also `true` after the outcome is taken, and after the loop has closed.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Ok(execution) => execution.mailbox.is_inherited() || execution.handoff.is_finished(),
            Err(_) => true,
        }
    }

    /// Lets the Python task run on, without awaiting it.
    ///
    /// If the task fails, asyncio passes the error to the loop's exception handler.
    pub fn detach(self) {
        if let Some(execution) = self.execution() {
            if let Some(Err(error)) = execution.handoff.detach() {
                execution.report(error);
            }
        }
    }

    /// The execution, if it belongs to this process.
    fn execution(&self) -> Option<&Arc<Execution>> {
        let execution = self.0.as_ref().ok();
        execution.filter(|execution| !execution.mailbox.is_inherited())
    }

    /// Sets the conversion of the outcome, which runs on the loop's thread.
    pub(super) fn convert(&mut self, conversion: Box<dyn Convert>) {
        match &mut self.0 {
            Ok(execution) => execution.convert(conversion),
            // Nobody can have dropped the future yet, so the error is not refused.
            Err(error) => drop(conversion.fail(error.take().expect(POLLED_AGAIN))),
        }
    }

    pub(super) fn mailbox(&self) -> Option<&Mailbox> {
        self.0.as_ref().ok().map(|execution| &execution.mailbox)
    }

    /// Reports an error of a conversion that Rust has not taken.
    pub(super) fn report(&self, error: PyErr) {
        if let Ok(execution) = &self.0 {
            execution.report(error);
        }
    }
}

impl Future for PyTask {
    type Output = PyResult<Py<PyAny>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let execution = match &mut self.0 {
            Ok(execution) => execution,
            Err(error) => return Poll::Ready(Err(error.take().expect(POLLED_AGAIN))),
        };
        poll_outcome(&execution.mailbox, &execution.handoff, cx)
    }
}

/// Polls for what the loop's thread brings. An error if it can bring nothing: in the child of a fork, and on a thread that keeps
/// the loop from running.
pub(super) fn poll_outcome<T, R>(
    mailbox: &Mailbox,
    handoff: &Handoff<T, PyResult<R>>,
    cx: &Context<'_>,
) -> Poll<PyResult<R>> {
    if mailbox.is_inherited() {
        return Poll::Ready(Err(loop_in_parent()));
    }
    match handoff.poll(cx.waker()) {
        Poll::Pending if is_blocked_here(mailbox.address()) => Poll::Ready(Err(loop_blocked())),
        polled => polled,
    }
}

impl Drop for PyTask {
    fn drop(&mut self) {
        let Some(execution) = self.execution() else {
            return;
        };
        match execution.handoff.give_up() {
            GivenUp::Task => {
                drop(lock(&execution.conversion).take());
                GivenUpTasks::note(execution);
                execution.cancel();
            }
            GivenUp::Outcome(Err(error)) => execution.report(error),
            GivenUp::Nothing | GivenUp::Outcome(Ok(_)) => {}
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
    fn new(
        mailbox: Mailbox,
        name: impl FnOnce() -> String,
        cleans_up: Option<CleansUp>,
        made_at: &'static Location<'static>,
    ) -> Arc<Self> {
        Arc::new(Self {
            cleans_up,
            made_at,
            handoff: Handoff::new(),
            conversion: Mutex::new(None),
            watching: Mutex::new(None),
            spans: Spans::python_to_rust(mailbox.address(), name),
            in_flight: PythonToRust::start(),
            mailbox,
        })
    }

    /// Posts the job that starts the task. If the loop has just closed, dropping the job settles the `PyTask`.
    fn post(self: Arc<Self>, locals: TaskLocals, source: Source) -> PyTask {
        let posted = self.spans.post();
        let start = StartTask {
            execution: Arc::clone(&self),
            source: Some(source),
            locals,
        };
        let job = move |py: Python<'_>| {
            posted.arrive();
            let execution = Arc::clone(&start.execution);
            let _spans = execution.spans.enter();
            start.run(py)
        };
        self.mailbox.post(Box::new(job));
        PyTask(Ok(self))
    }

    /// Delivers the outcome, or has it converted. Returns an error that the Rust side does not want. Without `py`, the outcome is
    /// an error.
    #[must_use = "the error is not reported elsewhere"]
    fn finish(&self, py: Option<Python<'_>>, outcome: PyResult<Py<PyAny>>) -> Option<PyErr> {
        self.unwatch();
        let refused = self.handoff.finish(outcome)?;
        let _spans = self.spans.enter();
        let conversion = lock(&self.conversion).take();
        match (conversion, refused, py) {
            (Some(conversion), Ok(value), Some(py)) => conversion.convert(py, value),
            (Some(conversion), Err(error), Some(py)) => py.detach(|| conversion.fail(error)),
            (Some(conversion), Err(error), None) => conversion.fail(error),
            (_, refused, _) => refused.err(),
        }
    }

    fn convert(self: &Arc<Self>, conversion: Box<dyn Convert>) {
        *lock(&self.conversion) = Some(conversion);
        let Some(outcome) = self.handoff.convert() else {
            return;
        };
        // The task has already ended.
        let conversion = lock(&self.conversion).take();
        match (conversion, outcome) {
            (Some(conversion), Ok(value)) => {
                let execution = Arc::clone(self);
                self.mailbox.post(Box::new(move |py| {
                    let _spans = execution.spans.enter();
                    if let Some(error) = conversion.convert(py, value) {
                        execution.report(error);
                    }
                    Ok(())
                }));
            }
            // Nobody can have dropped the future yet, so the error is not refused.
            (Some(conversion), Err(error)) => drop(conversion.fail(error)),
            // The loop has closed since, and failed the conversion.
            (None, _) => {}
        }
    }

    fn report(&self, error: PyErr) {
        report(&self.mailbox, error, self.made_at);
    }

    /// Cancels the task on its loop, after the job that starts it.
    fn cancel(self: &Arc<Self>) {
        let execution = Arc::clone(self);
        // A closed loop drops the job, and has nothing to cancel.
        self.mailbox
            .post(Box::new(move |py| execution.cancel_now(py)));
    }

    /// Cancels the running task, unless it has been cancelled before or cleans up.
    pub(super) fn cancel_now(&self, py: Python<'_>) -> PyResult<()> {
        if (self.cleans_up.as_ref()).is_some_and(|cleans_up| cleans_up.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let task = self.handoff.cancel(|task| task.clone_ref(py));
        task.map_or(Ok(()), |task| asyncio::cancel(task.bind(py)))
    }

    /// Whether the error is the effect of [`PyTask::cancel`].
    fn is_cancellation(&self, py: Python<'_>, error: &PyErr) -> bool {
        self.handoff.is_cancelled() && asyncio::is_cancelled_error(py, error).unwrap_or(false)
    }

    /// The task, while it runs.
    pub(super) fn running<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.handoff.with_task(|task| task.bind(py).clone())
    }

    fn is_awaited(&self) -> bool {
        matches!(
            self.handoff.interest(),
            Interest::Outcome | Interest::Conversion
        )
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
        let is_detached = self.handoff.interest() == Interest::Detached;
        let task = self.running(py);
        // The Rust side may not want an outcome.
        drop(self.finish(Some(py), Err(loop_closed())));
        if let (Some(task), false) = (task, is_detached) {
            // The Rust side has the error, or has cancelled the task too late. So asyncio need not report the pending task.
            let quiet = asyncio::let_die_pending(&task);
            if let Err(error) = quiet {
                error.write_unraisable(py, Some(&task));
            }
        }
    }
}

pub(super) fn loop_closed() -> PyErr {
    LoopClosed::new_err(
        "the event loop was closed before the Python awaitable was done: await it before the loop ends, or drop it",
    )
}

pub(super) fn loop_in_parent() -> PyErr {
    LoopClosed::new_err(
        "the Python awaitable cannot end in this process, because it was started in the parent before the fork: start it after \
         the fork",
    )
}

fn loop_blocked() -> PyErr {
    PyRuntimeError::new_err(
        "this would wait for ever: the Python awaitable runs on the event loop of this thread, which block_on blocks. Begin to await \
         it inside of block_on, which uses a background loop, export the function with future_into_py and `await` it, or call it in \
         another thread (asyncio.to_thread)",
    )
}

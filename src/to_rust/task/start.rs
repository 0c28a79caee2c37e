//! The start of a Python task, and its end. [`task`](super) describes the protocol.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::{Execution, loop_closed};
use crate::asyncio;
use crate::error::{note_place, rust_panic};
use crate::event_loop::{Mailbox, Watcher};
use crate::locals::TaskLocals;
use crate::panic::catch;
use crate::sync::handoff::Interest;
use crate::sync::primitive::lock;
use crate::to_rust::call::{Function, call_in_context};
use crate::user_value::drop_detached;

/// Where the awaitable of a task comes from.
pub(super) enum Source {
    Awaitable {
        awaitable: Py<PyAny>,
        context: Py<PyAny>,
    },
    Call {
        name: Cow<'static, str>,
        function: Function,
    },
}

impl Source {
    fn start<'py>(
        &mut self,
        event_loop: &Bound<'py, PyAny>,
        mailbox: &Mailbox,
        locals: &TaskLocals,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        match self {
            Self::Awaitable { awaitable, context } => {
                let (awaitable, context) = (awaitable.bind(py), context.bind(py));
                match locals.shares_context() {
                    true => asyncio::start_task_in_shared(event_loop, awaitable, context),
                    false => asyncio::start_task(event_loop, awaitable, context),
                }
            }
            Self::Call { name, function } => {
                let function = std::mem::replace(function, Box::new(|py| Ok(py.None())));
                if locals.shares_context() {
                    // Started outside of the context, which a task cannot enter twice.
                    let awaitable = call_in_context(py, mailbox, locals, name, function)?;
                    check_awaitable(&awaitable)?;
                    let context = locals.context(py);
                    return asyncio::start_task_in_shared(event_loop, &awaitable, &context);
                }
                let event_loop = event_loop.clone().unbind();
                call_in_context(py, mailbox, locals, name, move |py| {
                    let awaitable = function(py)?.into_bound(py);
                    check_awaitable(&awaitable)?;
                    let context = asyncio::copy_context(py)?;
                    let task = asyncio::start_task(event_loop.bind(py), &awaitable, &context)?;
                    Ok(task.unbind())
                })
            }
        }
    }

    /// Ends an awaitable that will not be awaited, as cancelling a task ends the future that it awaits.
    fn give_up(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Awaitable { awaitable, .. } => {
                let awaitable = awaitable.bind(py);
                match asyncio::is_future(awaitable)? {
                    true => asyncio::cancel(awaitable),
                    false => asyncio::close_unstarted(awaitable),
                }
            }
            Self::Call { .. } => Ok(()),
        }
    }

    /// Closes a coroutine that was not started, so that Python does not warn of it.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Awaitable { awaitable, .. } => asyncio::close_unstarted(awaitable.bind(py)),
            Self::Call { .. } => Ok(()),
        }
    }
}

pub(super) fn check_awaitable(awaitable: &Bound<'_, PyAny>) -> PyResult<()> {
    if asyncio::is_awaitable(awaitable)? {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "cannot await {awaitable:?} of type {}: pass a coroutine, a task, a future, or another object with __await__",
        awaitable.get_type().fully_qualified_name()?
    )))
}

/// The job that starts the task. If it is dropped before it runs, the loop is closed, and it settles the Rust side.
pub(super) struct StartTask {
    pub(super) execution: Arc<Execution>,
    pub(super) source: Option<Source>,
    pub(super) locals: TaskLocals,
}

impl StartTask {
    pub(super) fn run(mut self, py: Python<'_>) -> PyResult<()> {
        let Some(mut source) = self.source.take() else {
            return Ok(());
        };
        if self.execution.handoff.interest() == Interest::Nothing {
            let given_up = source.give_up(py);
            drop_detached(py, source);
            return given_up;
        }
        let event_loop = self.locals.event_loop(py);
        let started = catch(|| source.start(&event_loop, &self.execution.mailbox, &self.locals));
        match started.unwrap_or_else(|panic| Err(rust_panic(py, panic))) {
            Ok(task) => {
                if let Err(error) = self.started(&task) {
                    // The done callback may not be registered, so the Rust side must not wait for it. The error also goes to
                    // the loop, because it may be one that ends the loop.
                    drop(self.execution.finish(Some(py), Err(error.clone_ref(py))));
                    return Err(error);
                }
                Ok(())
            }
            Err(error) if asyncio::ends_the_loop(py, &error) => {
                // The task may already exist, so the coroutine is left alone.
                drop(self.execution.finish(Some(py), Err(error.clone_ref(py))));
                Err(error)
            }
            Err(error) => {
                if let Some(error) = self.execution.finish(Some(py), Err(error)) {
                    self.execution.report(error);
                }
                source.close(py)
            }
        }
    }

    fn started(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let completion = Completion(Arc::clone(&self.execution));
        if asyncio::done(task)? {
            completion.deliver(task);
            return Ok(());
        }
        let execution = &self.execution;
        let watcher = Arc::clone(execution) as Arc<dyn Watcher>;
        let Some(key) = execution.mailbox.watch(watcher) else {
            drop(execution.finish(Some(task.py()), Err(loop_closed())));
            return Ok(());
        };
        *lock(&execution.watching) = Some(key);
        asyncio::add_done_callback(task, Bound::new(task.py(), completion)?.as_any())?;
        execution.handoff.started(task.clone().unbind());
        Ok(())
    }
}

impl Drop for StartTask {
    fn drop(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        if let Source::Awaitable { .. } = source {
            // Dropped attached: by `into_future` if the mailbox refuses the job, or by closing the mailbox.
            #[expect(clippy::disallowed_methods, reason = "already attached")]
            let _ = Python::try_attach(|py| {
                if let Err(error) = source.close(py) {
                    error.write_unraisable(py, None);
                }
            });
        }
        drop(self.execution.finish(None, Err(loop_closed())));
    }
}

/// The done callback of the task.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Completion(Arc<Execution>);

#[pymethods]
impl Completion {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        self.deliver(task);
    }
}

impl Completion {
    fn deliver(&self, task: &Bound<'_, PyAny>) {
        let execution = &self.0;
        if execution.mailbox.is_inherited() {
            // The Rust future that awaits the task is in the parent.
            return;
        }
        if execution.is_awaited() {
            let outcome = match asyncio::result(task) {
                Err(error) if execution.is_cancellation(task.py(), &error) => Ok(task.py().None()),
                outcome => outcome.map(Bound::unbind),
            };
            // The Rust side may have given up since. asyncio has marked the error as retrieved, so we report it.
            if let Some(error) = execution.finish(Some(task.py()), outcome) {
                execution.report(error);
            }
        } else {
            // The outcome is not retrieved, so asyncio reports an error itself.
            execution.unwatch();
            if let Ok(Some(error)) = asyncio::peek_exception(task) {
                note_place(&error, "in the task of the Rust call", execution.made_at);
            }
        }
    }
}

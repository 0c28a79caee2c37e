//! Rust functions that are called on the thread of an event loop.
//!
//! # Protocol
//!
//! 1. [`PyCall::post`] posts the job [`StartCall`], on any thread, attached or not.
//! 2. The loop's thread calls the function in a copy of the locals' context, or in the context itself if the locals share it. A
//!    [`handoff`](crate::sync::handoff) carries the result to the [`PyCall`]. There is no Python task, so `Running` is skipped.
//! 3. If the [`PyCall`] is dropped before the call, the job drops the function uncalled.
//! 4. If the loop closes before the call, dropping the job settles the [`PyCall`] with `LoopClosed`.
//! 5. `SystemExit` and `KeyboardInterrupt` go to the [`PyCall`] and also to the loop. Any other error that nobody takes goes to
//!    the loop's exception handler.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use pyo3::prelude::*;

use super::task::{loop_closed, poll_outcome};
use crate::asyncio;
use crate::error::rust_panic;
use crate::event_loop::Mailbox;
use crate::locals::TaskLocals;
use crate::panic::catch;
use crate::sync::handoff::{GivenUp, Handoff, Interest, POLLED_AGAIN};
use crate::sync::primitive::lock;
use crate::trace::Spans;
use crate::user_value::{UserValue, drop_detached};

/// A call of a Rust function on the thread of an event loop, made by [`tokio::call_soon`](crate::tokio::call_soon) and similar
/// functions.
///
/// Its output is the result of the function. If the loop closes before the call, the output is
/// [`LoopClosed`](crate::err::LoopClosed). If the function panics, it is [`RustPanic`](crate::err::RustPanic).
///
/// The loop calls the function even if this is not polled. *Dropping this before the call* drops the function on the loop's
/// thread, without calling it. To let it run, [`detach`](Self::detach) it.
#[must_use = "dropping a PyCall drops the function uncalled; detach it to have it called"]
pub struct PyCall<T>(Result<Arc<Called<T>>, Option<PyErr>>);

impl<T> Unpin for PyCall<T> {}

/// What the caller and the loop's thread share.
struct Called<T> {
    mailbox: Mailbox,
    made_at: &'static Location<'static>,
    spans: Spans,
    handoff: Handoff<(), PyResult<UserValue<T>>>,
}

impl<T: Send + 'static> PyCall<T> {
    /// Posts the call.
    #[track_caller]
    pub(crate) fn post<F>(locals: PyResult<TaskLocals>, function: F) -> Self
    where
        F: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    {
        let made_at = Location::caller();
        let function = UserValue::of_any_runtime(function);
        let posted = locals.and_then(|locals| Ok((locals.mailbox()?, locals)));
        let (mailbox, locals) = match posted {
            Ok(posted) => posted,
            Err(error) => return Self(Err(Some(error))),
        };
        let called = Arc::new(Called {
            mailbox: mailbox.clone(),
            made_at,
            spans: Spans::of_caller(),
            handoff: Handoff::new(),
        });
        let call = StartCall {
            called: Arc::clone(&called),
            function: Some(function),
            locals,
        };
        mailbox.post(Box::new(move |py| call.run(py)));
        Self(Ok(called))
    }

    /// Lets the function run, without waiting for its result.
    ///
    /// If the function returns an error, the loop's exception handler gets it.
    pub fn detach(self) {
        if let Ok(called) = &self.0 {
            if let Some(Err(error)) = called.handoff.detach() {
                report(&called.mailbox, error, called.made_at);
            }
        }
    }
}

impl<T> Future for PyCall<T> {
    type Output = PyResult<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PyResult<T>> {
        match &mut self.0 {
            Err(error) => {
                let error = error.take();
                Poll::Ready(Err(error.expect(POLLED_AGAIN)))
            }
            Ok(called) => {
                poll_outcome(&called.mailbox, &called.handoff, cx).map_ok(UserValue::into_inner)
            }
        }
    }
}

impl<T> Drop for PyCall<T> {
    fn drop(&mut self) {
        let Ok(called) = &self.0 else {
            return;
        };
        if called.mailbox.is_inherited() {
            return;
        }
        if let GivenUp::Outcome(Err(error)) = called.handoff.give_up() {
            report(&called.mailbox, error, called.made_at);
        }
    }
}

impl<T> fmt::Debug for PyCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyCall").finish_non_exhaustive()
    }
}

/// The job. If it is dropped before it runs, the loop is closed, and it settles the [`PyCall`].
struct StartCall<F, T> {
    called: Arc<Called<T>>,
    function: Option<UserValue<F>>,
    locals: TaskLocals,
}

impl<F, T> StartCall<F, T>
where
    F: FnOnce(Python<'_>) -> PyResult<T> + Send + 'static,
    T: Send + 'static,
{
    fn run(mut self, py: Python<'_>) -> PyResult<()> {
        let Some(function) = self.function.take() else {
            return Ok(());
        };
        if self.called.handoff.interest() == Interest::Nothing {
            drop_detached(py, function);
            return Ok(());
        }
        let output = Arc::new(Mutex::new(None));
        let entered = self.called.spans.enter();
        let result = {
            let output = Arc::clone(&output);
            call_in_context(
                py,
                &self.called.mailbox,
                &self.locals,
                type_name::<F>(),
                move |py| {
                    *lock(&output) = Some(function.into_inner()(py)?);
                    Ok(py.None())
                },
            )
        };
        drop(entered);
        let value = lock(&output).take();
        let result = match (result, value) {
            (Ok(_), Some(value)) => Ok(UserValue::of_any_runtime(value)),
            (Ok(_), None) => unreachable!("the function was called, and left its value"),
            (Err(error), _) => Err(error),
        };
        let ends_the_loop = match &result {
            Err(error) if asyncio::ends_the_loop(py, error) => Some(error.clone_ref(py)),
            _ => None,
        };
        match self.called.handoff.finish(result) {
            Some(Err(error)) if ends_the_loop.is_none() => {
                report(&self.called.mailbox, error, self.called.made_at);
            }
            refused => drop_detached(py, refused),
        }
        ends_the_loop.map_or(Ok(()), Err)
    }
}

impl<F, T> Drop for StartCall<F, T> {
    fn drop(&mut self) {
        if self.function.is_some() {
            drop(self.called.handoff.finish(Err(loop_closed())));
        }
    }
}

/// Calls a function in a copy of the locals' context, or in a shared one. In debug mode, the log has the name of a slow one.
pub(super) fn call_in_context<'py, F>(
    py: Python<'py>,
    mailbox: &Mailbox,
    locals: &TaskLocals,
    name: &str,
    function: F,
) -> PyResult<Bound<'py, PyAny>>
where
    F: FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
{
    let once = Once(Mutex::new(Some(Box::new(function))));
    let once = Bound::new(py, once)?;
    let context = locals.context_for_call(py)?;
    if !mailbox.is_debug() {
        return asyncio::run_in_context(&context, (once,));
    }
    let started = Instant::now();
    let result = asyncio::run_in_context(&context, (once,));
    asyncio::warn_if_slow(&locals.event_loop(py), name, started.elapsed())?;
    result
}

pub(super) type Function = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// A function that Python calls once.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Once(Mutex<Option<Function>>);

#[pymethods]
impl Once {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let function = lock(&self.0).take();
        let Some(function) = function else {
            return Ok(py.None());
        };
        catch(|| function(py)).unwrap_or_else(|panic| Err(rust_panic(py, panic)))
    }
}

/// Reports an error that the Rust side has not taken to the loop's exception handler, with the place where it made the call.
pub(super) fn report(mailbox: &Mailbox, error: PyErr, made_at: &'static Location<'static>) {
    mailbox.post(Box::new(move |py| {
        if asyncio::is_cancelled_error(py, &error)? {
            return Ok(());
        }
        let event_loop = asyncio::get_running_loop(py)?;
        let message = "Task exception was never retrieved";
        let error = error.into_value(py).into_bound(py).into_any();
        let source = asyncio::source_traceback(py, None, made_at)?;
        asyncio::call_exception_handler(&event_loop, message, &error, None, Some(&source))
    }));
}

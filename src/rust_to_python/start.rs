//! When a Rust future begins: a coroutine's at its first step, and an eager one's on the caller's thread.
//!
//! # Protocol of the eager start
//!
//! 1. The first poll happens on the caller's thread, detached from the interpreter and inside the runtime's context. A future
//!    that is ready then is done, without a hop.
//! 2. Its waker does nothing. A future that is not ready is spawned on the runtime, which polls it once more with a waker of
//!    its own: whatever happened since the first poll is seen then, however often and wherever the first waker was woken.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;

use super::cancel::{CancelHandle, CancelSlot};
use super::coroutine::{Names, RustCoroutine, Start, Started, names_of};
use super::crossing::{Crossed, Failure, convert, spawn};
use super::future::RustFuture;
use super::lent::lend;
use super::shared::{Shared, can_be_raised};
use crate::error::{catch, quietly, watch_panics};
use crate::locals::{Entered, TaskLocals, get_running_locals, leave};
use crate::mailbox::Mailbox;
use crate::process;
use crate::runtime::Runtime;

/// How a coroutine is made.
pub(crate) struct Making {
    names: Names,
    eager_start: bool,
    /// Python objects that the future owns until its first poll, once for each time that they are in here.
    arguments: Vec<Py<PyAny>>,
    /// Where its user made it.
    at: &'static Location<'static>,
}

impl Making {
    /// Named after the function that the future comes from.
    #[track_caller]
    pub(crate) fn lazy<F>() -> Self {
        Self::named(names_of::<F>)
    }

    #[track_caller]
    pub(crate) fn named(names: Names) -> Self {
        Self {
            names,
            eager_start: false,
            arguments: Vec::new(),
            at: Location::caller(),
        }
    }

    #[cfg_attr(
        not(feature = "attributes"),
        allow(dead_code, reason = "it is for what the attributes export")
    )]
    pub(crate) fn of_arguments(self, arguments: Vec<Py<PyAny>>) -> Self {
        Self { arguments, ..self }
    }

    pub(crate) fn eager(self) -> Self {
        Self {
            eager_start: true,
            ..self
        }
    }
}

/// Makes a coroutine of `future`.
pub(crate) fn into_coroutine<R, F, T>(
    py: Python<'_>,
    making: Making,
    future: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    make::<R, F, T>(py, making, future, None)
}

/// Makes a coroutine of the future that `make` gives, to which Python's cancellations are handed.
pub(crate) fn into_cancellable_coroutine<R, F, T>(
    py: Python<'_>,
    making: Making,
    future: impl FnOnce(CancelHandle) -> PyResult<F>,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let (handle, slot) = CancelHandle::new();
    let future = slot.around(future(handle)?);
    make::<R, _, T>(py, making, future, Some(slot))
}

/// The same of a future that borrows a Python object: however the coroutine ends, it is dropped before Python goes on.
#[cfg_attr(
    not(feature = "attributes"),
    allow(dead_code, reason = "it is for what the attributes export")
)]
pub(crate) fn into_borrowing_coroutine<R, F, T>(
    py: Python<'_>,
    making: Making,
    future: impl FnOnce(CancelHandle) -> PyResult<F>,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Unpin + Send + 'static,
    T: Crossed,
{
    let (handle, slot) = CancelHandle::new();
    let (future, lent) = lend::<R, F>(future(handle)?);
    let slot = slot.lent(lent);
    let future = slot.around(future);
    make::<R, _, T>(py, making, future, Some(slot))
}

fn make<R, F, T>(
    py: Python<'_>,
    making: Making,
    future: F,
    cancel: Option<CancelSlot>,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let besides = Besides::of(cancel, making.arguments);
    let start: Box<dyn Start> = if making.eager_start {
        Box::new(Eager::<R, F> {
            future: Box::pin(future),
            besides,
            runtime: PhantomData,
        })
    } else {
        Box::new(Lazy::<R, F> {
            future,
            besides,
            runtime: PhantomData,
        })
    };
    let coroutine = RustCoroutine::new(py, making.names, making.at, start)?;
    Ok(coroutine.into_any())
}

/// Polls `future` once, and gives a Python future that is done if it was ready.
pub(crate) fn eager_future_into_py<R, F, T>(
    py: Python<'_>,
    locals: TaskLocals,
    future: F,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let event_loop = locals.event_loop(py);
    let mailbox = Mailbox::of(&event_loop)?;
    let entered = locals.clone();
    match first_poll::<R, F, T>(py, Box::pin(future), move || entered.enter()) {
        First::Ready(output) => {
            let shared = Arc::new(Shared::new(mailbox, &event_loop)?);
            let python = Bound::new(py, RustFuture::new(Arc::clone(&shared)))?;
            shared.settle(py, convert(py, output))?;
            Ok(python.into_any())
        }
        First::Pending(future) => {
            let python = spawn::<R, _, T>(py, locals, future, None)?;
            Ok(python.into_any())
        }
    }
}

enum First<F, T> {
    Ready(Result<T, Failure>),
    Pending(Pin<Box<F>>),
}

/// `enter` puts the future's locals in place.
fn first_poll<R, F, T>(
    py: Python<'_>,
    mut future: Pin<Box<F>>,
    enter: impl FnOnce() -> Entered + Send,
) -> First<F, T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let _turn = process::turn(py);
    watch_panics(py);
    process::detach(py, || {
        R::enter(|| {
            let _entered = enter();
            let mut context = Context::from_waker(Waker::noop());
            let polled = catch(|| future.as_mut().poll(&mut context));
            let output = match polled {
                Ok(Poll::Pending) => return First::Pending(future),
                Ok(Poll::Ready(output)) => output.map_err(Failure::Error),
                Err(panic) => Err(Failure::Panic(panic)),
            };
            // Whoever sees the outcome sees a world in which the future is gone, with all that it held.
            match catch(|| drop(future)) {
                Ok(()) => First::Ready(output),
                Err(panic) => {
                    // It may hold a value of the user's, whose drop may panic in its turn.
                    quietly(|| drop(output));
                    First::Ready(Err(Failure::Panic(panic)))
                }
            }
        })
    })
}

/// What a coroutine has besides its future, if it has anything: most have not, and each one's size counts.
struct Besides {
    cancel: Option<CancelSlot>,
    arguments: Vec<Py<PyAny>>,
}

impl Besides {
    fn of(cancel: Option<CancelSlot>, arguments: Vec<Py<PyAny>>) -> Option<Box<Self>> {
        let is_any = cancel.is_some() || !arguments.is_empty();
        is_any.then(|| Box::new(Self { cancel, arguments }))
    }

    fn arguments(besides: Option<&Self>) -> &[Py<PyAny>] {
        besides.map_or(&[], |besides| &besides.arguments)
    }
}

/// Hands the future of a coroutine to the runtime, for the task that runs here.
fn begin<R, F, T>(py: Python<'_>, future: F, besides: Option<Box<Besides>>) -> PyResult<Started>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    let locals = get_running_locals(py)?;
    let cancel = besides.and_then(|besides| besides.cancel);
    let future = spawn::<R, F, T>(py, locals, future, cancel)?;
    Ok(Started::Waiting(future.unbind()))
}

/// Begins on the runtime, at the first step.
struct Lazy<R, F> {
    future: F,
    besides: Option<Box<Besides>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R, F, T> Start for Lazy<R, F>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    fn start(self: Box<Self>, py: Python<'_>) -> PyResult<Started> {
        begin::<R, F, T>(py, self.future, self.besides)
    }

    fn arguments(&self) -> &[Py<PyAny>] {
        Besides::arguments(self.besides.as_deref())
    }
}

/// Begins on the thread that makes the first step.
struct Eager<R, F> {
    future: Pin<Box<F>>,
    besides: Option<Box<Besides>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R, F, T> Start for Eager<R, F>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    fn start(self: Box<Self>, py: Python<'_>) -> PyResult<Started> {
        // The loop and the context of this thread are the future's: it finds them without locals.
        match first_poll::<R, F, T>(py, self.future, leave) {
            First::Ready(output) => convert(py, output)
                .map(Started::Done)
                .map_err(|error| can_be_raised(py, error)),
            First::Pending(future) => begin::<R, _, T>(py, future, self.besides),
        }
    }

    fn arguments(&self) -> &[Py<PyAny>] {
        Besides::arguments(self.besides.as_deref())
    }
}

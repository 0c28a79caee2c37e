//! The start of a Rust future: where it is polled, and the first step of a coroutine.
//!
//! [`OnRuntime`] polls a future that is `Send` on the runtime. [`OnThisThread`] keeps a future on its thread, where the event
//! loop or the runtime's local executor polls it.
//!
//! # Protocol of the eager start
//!
//! 1. The first poll happens on the caller's thread, inside the runtime's context. A future that is `Send` is polled detached
//!    from the interpreter. If the future is ready, nothing is spawned.
//! 2. The waker of the first poll does nothing. If the future is not ready, it is spawned, and its task polls it once more with
//!    a real waker. So that poll sees whatever happened since the first one.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::cancel::OnCancel;
use super::coroutine::{Start, Started};
use super::crossing::{Crossing, Ended, UserFuture};
use super::future::RustFuture;
use super::local::{ThreadBound, spawn_on_loop};
use super::plan::{Crossed, Plan};
use super::state::{FutureState, can_be_raised};
use crate::asyncio;
use crate::error::note_future;
use crate::event_loop::Mailbox;
use crate::locals::{TaskLocals, get_running_locals};
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::user_value::UserValue;

pub(super) const WHERE_LOCAL: &str = "call this on the thread that runs the event loop, or inside the runtime's local executor (tokio's \
                           LocalSet, async-std's spawn_local)";

/// Where a Rust future is polled.
pub(super) trait Place<F, T>: 'static {
    type Runtime: Runtime;

    /// The first poll of an eager start, on this thread.
    fn first_poll(
        entry: &Entry<'_>,
        user: Pin<Box<UserFuture<Self::Runtime, F>>>,
    ) -> FirstPoll<Self::Runtime, F, T>;

    /// Starts the task of a future, and gives the Python future that it settles.
    fn spawn<'py>(
        entry: &Entry<'py>,
        locals: &TaskLocals,
        user: Pin<Box<UserFuture<Self::Runtime, F>>>,
        on_cancel: OnCancel,
        made_at: &'static Location<'static>,
    ) -> PyResult<Bound<'py, RustFuture>>;
}

/// Dropped only if the runtime panics instead of taking the task. The panic reaches the caller, so the loss of the task is not
/// reported a second time.
struct Spawning<'a>(&'a Arc<FutureState>);

impl Drop for Spawning<'_> {
    fn drop(&mut self) {
        self.0.cancel_by_post();
    }
}

/// A future that is `Send`, on the runtime.
pub(super) struct OnRuntime<R>(PhantomData<R>);

impl<R, F, T> Place<F, T> for OnRuntime<R>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    type Runtime = R;

    fn first_poll(
        entry: &Entry<'_>,
        user: Pin<Box<UserFuture<Self::Runtime, F>>>,
    ) -> FirstPoll<Self::Runtime, F, T> {
        entry.detach(|| first_poll::<R, F, T>(user))
    }

    fn spawn<'py>(
        entry: &Entry<'py>,
        locals: &TaskLocals,
        user: Pin<Box<UserFuture<Self::Runtime, F>>>,
        on_cancel: OnCancel,
        made_at: &'static Location<'static>,
    ) -> PyResult<Bound<'py, RustFuture>> {
        let (crossing, python) = Crossing::new(entry, locals, user, on_cancel, made_at)?;
        let spawning = Spawning(&python.get().state);
        R::spawn(crossing);
        std::mem::forget(spawning);
        Ok(python)
    }
}

/// A future that stays on this thread. The event loop polls it if this thread runs the loop. Otherwise the runtime's local
/// executor polls it, if this thread is inside one.
pub(super) struct OnThisThread<R>(PhantomData<R>);

impl<R, F, T> Place<F, T> for OnThisThread<R>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + 'static,
    T: Crossed,
{
    type Runtime = R;

    fn first_poll(
        _: &Entry<'_>,
        user: Pin<Box<UserFuture<Self::Runtime, F>>>,
    ) -> FirstPoll<Self::Runtime, F, T> {
        first_poll::<R, F, T>(user)
    }

    fn spawn<'py>(
        entry: &Entry<'py>,
        locals: &TaskLocals,
        user: Pin<Box<UserFuture<Self::Runtime, F>>>,
        on_cancel: OnCancel,
        made_at: &'static Location<'static>,
    ) -> PyResult<Bound<'py, RustFuture>> {
        let py = entry.py();
        let (crossing, python) = Crossing::new(entry, locals, user, on_cancel, made_at)?;
        let running = asyncio::running_loop(py)?;
        if running.is_some_and(|running| running.is(locals.event_loop(py))) {
            spawn_on_loop::<R, _>(&python.get().state, crossing);
            return Ok(python);
        }
        let spawning = Spawning(&python.get().state);
        let spawned = R::spawn_local(crossing);
        std::mem::forget(spawning);
        if let Err(crossing) = spawned {
            crossing.abort();
            return Err(PyRuntimeError::new_err(format!(
                "a future that is not Send stays on its thread, and this thread cannot poll it: {WHERE_LOCAL}"
            )));
        }
        Ok(python)
    }
}

pub(super) enum FirstPoll<R: Runtime, F, T> {
    Ready(Ended<T>),
    Pending(Pin<Box<UserFuture<R, F>>>),
}

fn first_poll<R, F, T>(mut user: Pin<Box<UserFuture<R, F>>>) -> FirstPoll<R, F, T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>>,
    T: Send,
{
    R::enter(|| {
        let mut context = Context::from_waker(Waker::noop());
        match user.as_mut().poll(&mut context) {
            Poll::Ready(ended) => FirstPoll::Ready(ended),
            Poll::Pending => FirstPoll::Pending(user),
        }
    })
}

/// A Rust future that has begun.
pub(super) enum Begun<'py, T> {
    Running(Bound<'py, RustFuture>),
    /// The first poll ended it.
    Ended(Ended<T>),
}

pub(super) fn begin<'py, P, F, T>(
    entry: &Entry<'py>,
    locals: &TaskLocals,
    mut user: Pin<Box<UserFuture<P::Runtime, F>>>,
    eager_start: bool,
    on_cancel: OnCancel,
    made_at: &'static Location<'static>,
) -> PyResult<Begun<'py, T>>
where
    P: Place<F, T>,
    F: Future<Output = PyResult<T>>,
{
    if eager_start {
        user = match P::first_poll(entry, user) {
            FirstPoll::Ready(ended) => return Ok(Begun::Ended(ended)),
            FirstPoll::Pending(user) => user,
        };
    }
    let running = P::spawn(entry, locals, user, on_cancel, made_at)?;
    Ok(Begun::Running(running))
}

/// A Python future that is done.
pub(super) fn settled<'py, T: Crossed>(
    entry: &Entry<'py>,
    locals: &TaskLocals,
    ended: Ended<T>,
    made_at: &'static Location<'static>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = entry.py();
    let event_loop = locals.event_loop(py);
    let mailbox = Mailbox::of(entry, &event_loop)?;
    let state = Arc::new(FutureState::new(mailbox, &event_loop, false)?);
    let python = Bound::new(py, RustFuture::new(Arc::clone(&state), made_at))?;
    state.settle(py, ended.convert(py))?;
    Ok(python.into_any())
}

/// How a Python object keeps a future or a stream that no task has. The object is `Send`, which the future need not be.
pub(super) trait Kept<F> {
    fn pack(future: F) -> Self;

    /// `None` on another thread than that of a future that is not `Send`.
    fn unpack(self) -> Option<F>;
}

impl<F: Send> Kept<F> for F {
    fn pack(future: F) -> Self {
        future
    }

    fn unpack(self) -> Option<F> {
        Some(self)
    }
}

impl<F: 'static> Kept<F> for ThreadBound<F> {
    fn pack(future: F) -> Self {
        Self::new(future)
    }

    fn unpack(self) -> Option<F> {
        self.take()
    }
}

/// The first step of a coroutine.
pub(super) struct FirstStep<P, F, K, T> {
    pub(super) future: UserValue<K>,
    pub(super) plan: Plan,
    pub(super) place: PhantomData<fn(P, F) -> T>,
}

impl<P, F, K, T> Start for FirstStep<P, F, K, T>
where
    P: Place<F, T>,
    F: Future<Output = PyResult<T>> + 'static,
    K: Kept<F> + Send,
    T: Crossed,
{
    fn start(self: Box<Self>, entry: &Entry<'_>) -> PyResult<Started> {
        let py = entry.py();
        let Self {
            future, mut plan, ..
        } = *self;
        let locals = plan.locals.take();
        let locals = locals.map_or_else(|| get_running_locals(py), Ok);
        let locals = locals.and_then(|locals| plan.share(py, locals));
        let (future, locals) = future.keep_if_ok(py, locals)?;
        let future = future.unpack().ok_or_else(|| {
            PyRuntimeError::new_err(
                "the Rust future of this coroutine is not Send: await it on the thread that made it",
            )
        })?;
        let user = UserFuture::new(locals.clone(), future, plan.spans);
        let (eager, on_cancel, made_at) = (plan.eager_start, plan.on_cancel, plan.made_at);
        match begin::<P, F, T>(entry, &locals, user, eager, on_cancel, made_at)? {
            Begun::Running(python) => Ok(Started::Waiting(python.unbind())),
            Begun::Ended(ended) => {
                let value = ended.convert(py);
                value.map(Started::Done).map_err(|error| {
                    note_future(error.value(py), made_at);
                    can_be_raised(py, error)
                })
            }
        }
    }

    fn arguments(&self) -> &[Py<PyAny>] {
        &self.plan.arguments
    }
}

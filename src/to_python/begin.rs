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

use super::coroutine::{Start, Stepped, wait};
use super::crossing::{Crossing, Ended, UserFuture};
use super::future::RustFuture;
use super::local::{ThreadBound, spawn_on_loop};
use super::plan::{Crossed, Plan};
use super::state::FutureState;
use crate::asyncio;
use crate::event_loop::Mailbox;
use crate::locals::{TaskLocals, get_running_locals};
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::user_value::UserValue;

pub(super) const WHERE_LOCAL: &str = "call this on the thread that runs the event loop, or inside the runtime's local executor (tokio's \
                           LocalSet, async-std's spawn_local)";

/// What polls a Rust future.
pub(crate) trait Executor<F, T>: 'static {
    type Runtime: Runtime;
    /// Whether it polls on this thread. The first step of a coroutine then polls too.
    const IS_HERE: bool;

    /// The first poll of an eager start, on this thread.
    fn first_poll(
        entry: &Entry<'_>,
        user: Pin<&mut UserFuture<Self::Runtime, F>>,
    ) -> Poll<Ended<T>>;

    /// Starts the task of a future.
    fn spawn(
        entry: &Entry<'_>,
        state: &Arc<FutureState>,
        crossing: Crossing<Self::Runtime, F>,
    ) -> PyResult<()>;
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
pub(crate) struct OnRuntime<R>(PhantomData<R>);

impl<R, F, T> Executor<F, T> for OnRuntime<R>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    type Runtime = R;
    const IS_HERE: bool = false;

    fn first_poll(entry: &Entry<'_>, user: Pin<&mut UserFuture<R, F>>) -> Poll<Ended<T>> {
        entry.detach(|| first_poll(user))
    }

    fn spawn(_: &Entry<'_>, _: &Arc<FutureState>, crossing: Crossing<R, F>) -> PyResult<()> {
        R::spawn(crossing);
        Ok(())
    }
}

/// A future that stays on this thread. The event loop polls it if this thread runs the loop. Otherwise the runtime's local
/// executor polls it, if this thread is inside one.
pub(crate) struct OnThisThread<R>(PhantomData<R>);

impl<R, F, T> Executor<F, T> for OnThisThread<R>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + 'static,
    T: Crossed,
{
    type Runtime = R;
    const IS_HERE: bool = true;

    fn first_poll(_: &Entry<'_>, user: Pin<&mut UserFuture<R, F>>) -> Poll<Ended<T>> {
        first_poll(user)
    }

    fn spawn(
        entry: &Entry<'_>,
        state: &Arc<FutureState>,
        crossing: Crossing<R, F>,
    ) -> PyResult<()> {
        let running = asyncio::running_loop(entry.py())?;
        if running.is_some_and(|running| running.as_ptr() as usize == state.mailbox.address()) {
            spawn_on_loop::<R, _>(state, crossing);
            return Ok(());
        }
        R::spawn_local(crossing).map_err(|crossing| {
            crossing.abort();
            PyRuntimeError::new_err(format!(
                "a future that is not Send stays on its thread, and this thread cannot poll it: {WHERE_LOCAL}"
            ))
        })
    }
}

fn first_poll<R, F, T>(user: Pin<&mut UserFuture<R, F>>) -> Poll<Ended<T>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>>,
    T: Send,
{
    R::enter(|| user.poll(&mut Context::from_waker(Waker::noop())))
}

/// A Rust future that has begun.
pub(super) enum Begun<'py, T> {
    Running(Bound<'py, RustFuture>),
    /// The first poll ended it.
    Ended(Ended<T>),
}

pub(super) fn begin<'py, E, F, T>(
    entry: &Entry<'py>,
    locals: &TaskLocals,
    mailbox: &Mailbox,
    plan: Plan,
    future: F,
) -> PyResult<Begun<'py, T>>
where
    E: Executor<F, T>,
    F: Future<Output = PyResult<T>>,
{
    let mut user = UserFuture::new(locals.clone(), future, plan.spans);
    if plan.eager_start {
        if let Poll::Ready(ended) = E::first_poll(entry, user.as_mut()) {
            return Ok(Begun::Ended(ended));
        }
    }
    let (py, mailbox) = (entry.py(), mailbox.clone());
    let (crossing, python) =
        Crossing::new(py, locals, mailbox, user, plan.on_cancel, plan.made_at)?;
    let state = &python.get().state;
    let spawning = Spawning(state);
    let spawned = E::spawn(entry, state, crossing);
    std::mem::forget(spawning);
    spawned.map(|()| Begun::Running(python))
}

/// A Python future that is done.
pub(super) fn settled<'py, T: Crossed>(
    py: Python<'py>,
    locals: &TaskLocals,
    mailbox: Mailbox,
    ended: Ended<T>,
    made_at: &'static Location<'static>,
) -> PyResult<Bound<'py, PyAny>> {
    let event_loop = locals.event_loop(py);
    let state = Arc::new(FutureState::new(mailbox, &event_loop, made_at, false)?);
    let python = Bound::new(py, RustFuture::new(Arc::clone(&state), &event_loop, None))?;
    state.settle(py, ended.convert(py, made_at))?;
    Ok(python.into_any())
}

/// How a Python object keeps a future or a stream that no task has. The object is `Send`, which the future need not be.
pub(crate) trait Kept<F> {
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
pub(super) struct FirstStep<E, F, K, T> {
    pub(super) future: UserValue<K>,
    pub(super) plan: Plan,
    pub(super) executor: PhantomData<fn(E, F) -> T>,
}

impl<E, F, K, T> Start for FirstStep<E, F, K, T>
where
    E: Executor<F, T>,
    F: Future<Output = PyResult<T>> + 'static,
    K: Kept<F> + Send,
    T: Crossed,
{
    fn start(self: Box<Self>, entry: &Entry<'_>) -> PyResult<Stepped> {
        let py = entry.py();
        let Self {
            future, mut plan, ..
        } = *self;
        let locals = plan.locals.take();
        let locals = locals.map_or_else(|| get_running_locals(py), Ok);
        let here = locals.and_then(|locals| {
            let mailbox = Mailbox::of(entry, &locals.event_loop(py))?;
            Ok((plan.share(py, locals)?, mailbox))
        });
        let (future, (locals, mailbox)) = future.keep_if_ok(py, here)?;
        let future = future.unpack().ok_or_else(|| {
            PyRuntimeError::new_err(
                "the Rust future of this coroutine is not Send: await it on the thread that made it",
            )
        })?;
        plan.eager_start |= E::IS_HERE;
        let made_at = plan.made_at;
        match begin::<E, F, T>(entry, &locals, &mailbox, plan, future)? {
            Begun::Running(python) => wait(py, python.unbind()),
            Begun::Ended(ended) => ended.convert(py, made_at).map(Stepped::Return),
        }
    }

    fn arguments(&self) -> &[Py<PyAny>] {
        &self.plan.arguments
    }
}

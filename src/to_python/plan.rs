//! How a Python awaitable is made of a Rust future, and when that starts.
//!
//! # Protocol of the eager start
//!
//! 1. The first poll happens on the caller's thread, inside the runtime's context. A future that is `Send` is polled detached
//!    from the interpreter. A future that is ready then is done, without a hop.
//! 2. The waker of that poll does nothing. A future that is not ready is spawned, and polled once more with a waker of its
//!    own. So whatever happened since the first poll is seen then.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::cancel::{CancelHandle, Cancellable, Cancellation};
use super::coroutine::{Names, RustCoroutine, Start, Started, names_of};
use super::crossing::{Crossing, Ended, UserFuture};
use super::future::RustFuture;
use super::local::{ThreadBound, spawn_on_loop};
use super::state::{FutureState, can_be_raised};
use crate::asyncio;
use crate::event_loop::Mailbox;
use crate::locals::{TaskLocals, find_current_locals, get_running_locals};
use crate::process::Entry;
use crate::runtime::Runtime;

/// What the value of a Rust future must be so that Python can have it.
pub(crate) trait Crossed: for<'py> IntoPyObject<'py> + Send + 'static {}

impl<T> Crossed for T where T: for<'py> IntoPyObject<'py> + Send + 'static {}

/// How an awaitable is made: everything but the future itself.
pub(crate) struct Plan {
    names: Option<Names>,
    /// A name in the place of those.
    name: Option<String>,
    eager_start: bool,
    locals: Option<TaskLocals>,
    cancellation: Option<Cancellation>,
    /// Python objects that the future owns until its first poll, for the garbage collector to see.
    arguments: Vec<Py<PyAny>>,
    /// Where the user made it.
    at: &'static Location<'static>,
}

impl Plan {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self {
            names: None,
            name: None,
            eager_start: false,
            locals: None,
            cancellation: None,
            arguments: Vec::new(),
            at: Location::caller(),
        }
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Names a coroutine. Without this, it is named after the function that the future comes from.
    #[cfg(feature = "attributes")]
    pub(crate) fn named(self, names: Names) -> Self {
        Self {
            names: Some(names),
            ..self
        }
    }

    /// Names a coroutine after the function that an `F` comes from.
    pub(crate) fn named_after<F>(self) -> Self {
        Self {
            names: Some(names_of::<F>),
            ..self
        }
    }

    pub(crate) fn eager_start(self, eager_start: bool) -> Self {
        Self {
            eager_start,
            ..self
        }
    }

    /// On the loop and in the context of `locals`, instead of the current ones.
    pub(crate) fn locals(self, locals: TaskLocals) -> Self {
        Self {
            locals: Some(locals),
            ..self
        }
    }

    #[cfg(feature = "attributes")]
    pub(crate) fn arguments(self, arguments: Vec<Py<PyAny>>) -> Self {
        Self { arguments, ..self }
    }

    /// Has cancellations handed to the future, which is given this handle, instead of dropping it.
    pub(crate) fn cancel_handle(&mut self) -> CancelHandle {
        let (handle, cancellation) = CancelHandle::new();
        self.cancellation = Some(cancellation);
        handle
    }

    /// Makes a future, or a coroutine where no loop is known.
    pub(crate) fn future<R, F, T>(mut self, py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Crossed,
    {
        match self.take_locals(py)? {
            Some(locals) => self.start_now::<OnRuntime<R>, F, T>(py, locals, future),
            None => self.coroutine::<R, F, T>(py, future),
        }
    }

    /// Makes a future whose Rust future stays on this thread.
    pub(crate) fn local_future<R, F, T>(
        mut self,
        py: Python<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + 'static,
        T: Crossed,
    {
        match self.take_locals(py)? {
            Some(locals) => self.start_now::<OnThisThread<R>, F, T>(py, locals, future),
            None => Err(PyRuntimeError::new_err(format!(
                "no running event loop, and a future that is not Send cannot wait for one: {WHERE_LOCAL} from a future that \
                 knows its loop (`scope_local`), or name the loop there with `local_future_into_py_with_loop`",
            ))),
        }
    }

    fn start_now<P, F, T>(
        mut self,
        py: Python<'_>,
        locals: TaskLocals,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        P: Place<F, T> + Place<Cancellable<F>, T>,
        F: Future<Output = PyResult<T>>,
        T: Crossed,
    {
        let entry = Entry::new(py)?;
        let eager = self.eager_start;
        // A closed loop is refused before the future is polled.
        Mailbox::of(&entry, &locals.event_loop(py))?;
        let begun = match self.cancellation.take() {
            None => begin::<P, F, T>(&entry, &locals, future, eager, None)?,
            Some(cancellation) => {
                let future = cancellation.around(future);
                begin::<P, _, T>(&entry, &locals, future, eager, Some(cancellation))?
            }
        };
        match begun {
            Begun::Running(python) => Ok(python.into_any()),
            Begun::Ended(ended) => settled(&entry, &locals, ended),
        }
    }

    /// Makes a coroutine.
    pub(crate) fn coroutine<R, F, T>(
        mut self,
        py: Python<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Crossed,
    {
        self.names.get_or_insert(names_of::<F>);
        match self.cancellation.take() {
            None => self.wait::<OnRuntime<R>, F, T, F>(py, future, None),
            Some(cancellation) => {
                let future = cancellation.around(future);
                self.wait::<OnRuntime<R>, _, T, _>(py, future, Some(cancellation))
            }
        }
    }

    /// Makes a coroutine whose Rust future the event loop polls, on its own thread, though it is `Send`.
    #[cfg(feature = "attributes")]
    pub(crate) fn loop_coroutine<R, F, T>(
        mut self,
        py: Python<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + Send + 'static,
        T: Crossed,
    {
        self.names.get_or_insert(names_of::<F>);
        self.eager_start = true;
        match self.cancellation.take() {
            None => self.wait::<OnThisThread<R>, F, T, F>(py, future, None),
            Some(cancellation) => {
                let future = cancellation.around(future);
                self.wait::<OnThisThread<R>, _, T, _>(py, future, Some(cancellation))
            }
        }
    }

    /// Makes a coroutine whose Rust future stays on this thread. The first poll happens in the first step.
    pub(crate) fn local_coroutine<R, F, T>(
        mut self,
        py: Python<'_>,
        future: F,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        R: Runtime,
        F: Future<Output = PyResult<T>> + 'static,
        T: Crossed,
    {
        self.names.get_or_insert(names_of::<F>);
        self.eager_start = true;
        match self.cancellation.take() {
            None => self.wait::<OnThisThread<R>, F, T, _>(py, ThreadBound::new(future), None),
            Some(cancellation) => {
                let future = ThreadBound::new(cancellation.around(future));
                self.wait::<OnThisThread<R>, Cancellable<F>, T, _>(py, future, Some(cancellation))
            }
        }
    }

    fn wait<P, F, T, K>(
        mut self,
        py: Python<'_>,
        future: K,
        cancellation: Option<Cancellation>,
    ) -> PyResult<Bound<'_, PyAny>>
    where
        P: Place<F, T>,
        F: Future<Output = PyResult<T>> + 'static,
        T: Crossed,
        K: Kept<F> + Send + 'static,
    {
        let (names, at) = (self.names.unwrap_or(names_of::<F>), self.at);
        let name = self.name.take();
        let start = Box::new(FirstStep::<P, F, K, T> {
            future,
            cancellation,
            plan: self,
            place: PhantomData,
        });
        let coroutine = RustCoroutine::new(py, names, at, start)?;
        if let Some(name) = name {
            coroutine.get().rename(PyString::new(py, &name));
        }
        Ok(coroutine.into_any())
    }

    fn take_locals(&mut self, py: Python<'_>) -> PyResult<Option<TaskLocals>> {
        match self.locals.take() {
            Some(locals) => Ok(Some(locals)),
            None => find_current_locals(py),
        }
    }
}

const WHERE_LOCAL: &str = "call this on the thread that runs the event loop, or inside the runtime's local executor (tokio's \
                           LocalSet, async-std's spawn_local)";

/// Where a Rust future is polled.
trait Place<F, T>: 'static {
    /// The first poll of an eager start, on this thread.
    fn first_poll(entry: &Entry<'_>, user: Pin<Box<UserFuture<F>>>) -> FirstPoll<F, T>;

    /// Starts the task of a future, and gives the Python future that it settles.
    fn spawn<'py>(
        entry: &Entry<'py>,
        locals: &TaskLocals,
        user: Pin<Box<UserFuture<F>>>,
        cancellation: Option<Cancellation>,
    ) -> PyResult<Bound<'py, RustFuture>>;
}

/// A future that is `Send`, on the runtime.
struct OnRuntime<R>(PhantomData<R>);

impl<R, F, T> Place<F, T> for OnRuntime<R>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Crossed,
{
    fn first_poll(entry: &Entry<'_>, user: Pin<Box<UserFuture<F>>>) -> FirstPoll<F, T> {
        entry.detach(|| first_poll::<R, F, T>(user))
    }

    fn spawn<'py>(
        entry: &Entry<'py>,
        locals: &TaskLocals,
        user: Pin<Box<UserFuture<F>>>,
        cancellation: Option<Cancellation>,
    ) -> PyResult<Bound<'py, RustFuture>> {
        /// A runtime that refuses the task panics, and the caller hears it. Nobody needs to hear of the dropped task then.
        struct Refused<'a>(&'a Arc<FutureState>);

        impl Drop for Refused<'_> {
            fn drop(&mut self) {
                self.0.forsake();
            }
        }

        let (crossing, python) = Crossing::new(entry, locals, user, cancellation)?;
        let refused = Refused(&python.get().state);
        R::spawn(crossing);
        std::mem::forget(refused);
        Ok(python)
    }
}

/// A future that stays here: the event loop polls it if this thread runs the loop, otherwise the runtime's local executor if
/// this thread is inside of one.
struct OnThisThread<R>(PhantomData<R>);

impl<R, F, T> Place<F, T> for OnThisThread<R>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + 'static,
    T: Crossed,
{
    fn first_poll(_: &Entry<'_>, user: Pin<Box<UserFuture<F>>>) -> FirstPoll<F, T> {
        first_poll::<R, F, T>(user)
    }

    fn spawn<'py>(
        entry: &Entry<'py>,
        locals: &TaskLocals,
        user: Pin<Box<UserFuture<F>>>,
        cancellation: Option<Cancellation>,
    ) -> PyResult<Bound<'py, RustFuture>> {
        let py = entry.py();
        let (crossing, python) = Crossing::new(entry, locals, user, cancellation)?;
        let running = asyncio::running_loop(py)?;
        if running.is_some_and(|running| running.is(&locals.event_loop(py))) {
            spawn_on_loop::<R, _>(&python.get().state, crossing);
        } else if let Err(crossing) = R::spawn_local(crossing) {
            crossing.abort();
            return Err(PyRuntimeError::new_err(format!(
                "a future that is not Send stays on its thread, and this thread cannot poll it: {WHERE_LOCAL}"
            )));
        }
        Ok(python)
    }
}

enum FirstPoll<F, T> {
    Ready(Ended<T>),
    Pending(Pin<Box<UserFuture<F>>>),
}

fn first_poll<R, F, T>(mut user: Pin<Box<UserFuture<F>>>) -> FirstPoll<F, T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>>,
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
enum Begun<'py, T> {
    Running(Bound<'py, RustFuture>),
    /// The first poll ended it.
    Ended(Ended<T>),
}

fn begin<'py, P, F, T>(
    entry: &Entry<'py>,
    locals: &TaskLocals,
    future: F,
    eager_start: bool,
    cancellation: Option<Cancellation>,
) -> PyResult<Begun<'py, T>>
where
    P: Place<F, T>,
    F: Future<Output = PyResult<T>>,
{
    let mut user = UserFuture::new(locals.clone(), future);
    if eager_start {
        user = match P::first_poll(entry, user) {
            FirstPoll::Ready(ended) => return Ok(Begun::Ended(ended)),
            FirstPoll::Pending(user) => user,
        };
    }
    Ok(Begun::Running(P::spawn(entry, locals, user, cancellation)?))
}

/// A Python future that is done.
fn settled<'py, T: Crossed>(
    entry: &Entry<'py>,
    locals: &TaskLocals,
    ended: Ended<T>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = entry.py();
    let event_loop = locals.event_loop(py);
    let mailbox = Mailbox::of(entry, &event_loop)?;
    let state = Arc::new(FutureState::new(mailbox, &event_loop)?);
    let python = Bound::new(py, RustFuture::new(Arc::clone(&state)))?;
    state.settle(py, ended.convert(py))?;
    Ok(python.into_any())
}

/// How a coroutine keeps its future until the first step. A coroutine is `Send`, which its future need not be.
trait Kept<F> {
    /// `None` on another thread than that of a future that is not `Send`.
    fn unpack(self) -> Option<F>;
}

impl<F: Send> Kept<F> for F {
    fn unpack(self) -> Option<F> {
        Some(self)
    }
}

impl<F: 'static> Kept<F> for ThreadBound<F> {
    fn unpack(self) -> Option<F> {
        self.take()
    }
}

/// The first step of a coroutine.
struct FirstStep<P, F, K, T> {
    future: K,
    cancellation: Option<Cancellation>,
    plan: Plan,
    place: PhantomData<fn() -> (P, F, T)>,
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
        let Plan {
            locals,
            eager_start,
            ..
        } = self.plan;
        let locals = locals.map_or_else(|| get_running_locals(py), Ok)?;
        let future = self.future.unpack().ok_or_else(|| {
            PyRuntimeError::new_err(
                "the Rust future of this coroutine is not Send: await it on the thread that made it",
            )
        })?;
        match begin::<P, F, T>(entry, &locals, future, eager_start, self.cancellation)? {
            Begun::Running(python) => Ok(Started::Waiting(python.unbind())),
            Begun::Ended(ended) => {
                let value = ended.convert(py);
                value
                    .map(Started::Done)
                    .map_err(|error| can_be_raised(py, error))
            }
        }
    }

    fn arguments(&self) -> &[Py<PyAny>] {
        &self.plan.arguments
    }
}

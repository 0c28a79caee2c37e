//! What a Rust task knows of Python: its event loop and its context.
//!
//! A task's locals lie in a thread-local while the task is polled, put there by a guard and taken away by its drop, whether
//! the poll returns, panics, or the task is dropped. The same code serves every runtime.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::LocalKey;

use pin_project_lite::pin_project;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::asyncio;

/// The event loop and the `contextvars` context that a Rust task belongs to.
///
/// Cheap to clone. Every future that [`future_into_py`](crate::tokio::future_into_py) starts carries its caller's, and
/// [`get_current_locals`] finds them again inside of it, so that most programs never name this type. Name it to
/// cross into Python from a thread of your own:
///
/// ```
/// use pyo3::prelude::*;
/// use pyo3_asyncio::TaskLocals;
///
/// # Python::initialize();
/// Python::attach(|py| -> PyResult<()> {
///     let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
///     let locals = TaskLocals::new(event_loop.clone()).copy_context(py)?;
///     assert!(locals.event_loop(py).is(&event_loop));
///     # event_loop.call_method0("close")?;
///     Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct TaskLocals(Arc<Inner>);

struct Inner {
    event_loop: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

impl TaskLocals {
    /// Locals of an event loop, without a context: what is awaited with them takes the context of whoever awaits it.
    pub fn new(event_loop: Bound<'_, PyAny>) -> Self {
        event_loop.unbind().into()
    }

    /// Locals of the event loop that runs in this thread, without a context.
    ///
    /// # Errors
    ///
    /// `RuntimeError` if none is running.
    pub fn with_running_loop(py: Python<'_>) -> PyResult<Self> {
        Ok(Self::new(asyncio::get_running_loop(py)?))
    }

    /// The same loop with a `contextvars.Context`, or with none if `context` is `None`.
    #[must_use]
    pub fn with_context(self, context: Bound<'_, PyAny>) -> Self {
        Self(Arc::new(Inner {
            event_loop: self.0.event_loop.clone_ref(context.py()),
            context: (!context.is_none()).then(|| context.unbind()),
        }))
    }

    /// The same loop with a copy of this thread's current context (`contextvars.copy_context()`).
    ///
    /// # Errors
    ///
    /// What Python raises while it makes the copy.
    pub fn copy_context(self, py: Python<'_>) -> PyResult<Self> {
        Ok(self.with_context(asyncio::copy_context(py)?))
    }

    /// The event loop.
    pub fn event_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.0.event_loop.bind(py).clone()
    }

    /// The context, or `None` (Python's) if there is none.
    pub fn context<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let context = self.0.context.as_ref();
        context
            .map_or_else(|| py.None(), |context| context.clone_ref(py))
            .into_bound(py)
    }

    /// The same locals: a `clone`.
    #[deprecated(note = "use `clone`, which needs no `py`")]
    pub fn clone_ref(&self, _py: Python<'_>) -> Self {
        self.clone()
    }

    /// Installs the locals on this thread until the guard drops.
    pub(crate) fn enter(&self) -> Entered {
        Entered::replacing(&CURRENT, Some(self.clone()))
    }

    /// Installs the locals on a thread that works for their loop, which runs elsewhere, until the guard drops. They count
    /// where the thread neither polls a Rust task nor runs a loop of its own.
    #[cfg(feature = "testing")]
    pub(crate) fn enter_thread(&self) -> Entered {
        Entered::replacing(&OF_THREAD, Some(self.clone()))
    }
}

impl fmt::Debug for TaskLocals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocals")
            .field("event_loop", &self.0.event_loop)
            .field("context", &self.0.context)
            .finish()
    }
}

impl From<Py<PyAny>> for TaskLocals {
    fn from(event_loop: Py<PyAny>) -> Self {
        Self(Arc::new(Inner {
            event_loop,
            context: None,
        }))
    }
}

impl From<Bound<'_, PyAny>> for TaskLocals {
    fn from(event_loop: Bound<'_, PyAny>) -> Self {
        Self::new(event_loop)
    }
}

impl From<&Bound<'_, PyAny>> for TaskLocals {
    fn from(event_loop: &Bound<'_, PyAny>) -> Self {
        Self::new(event_loop.clone())
    }
}

type Slot = LocalKey<RefCell<Option<TaskLocals>>>;

thread_local! {
    static CURRENT: RefCell<Option<TaskLocals>> = const { RefCell::new(None) };
    static OF_THREAD: RefCell<Option<TaskLocals>> = const { RefCell::new(None) };
}

/// Restores the locals that were there before. Neither swapping nor dropping a `TaskLocals` can panic.
#[must_use = "the locals are installed until this is dropped"]
pub(crate) struct Entered {
    slot: &'static Slot,
    previous: Option<TaskLocals>,
}

impl Entered {
    fn replacing(slot: &'static Slot, locals: Option<TaskLocals>) -> Self {
        Self {
            slot,
            previous: swap(slot, locals),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(swap(self.slot, self.previous.take()));
    }
}

/// A thread that is ending has no locals any more; then there is nothing to swap.
fn swap(slot: &'static Slot, locals: Option<TaskLocals>) -> Option<TaskLocals> {
    slot.try_with(|slot| slot.replace(locals))
        .unwrap_or_default()
}

fn get(slot: &'static Slot) -> Option<TaskLocals> {
    slot.try_with(|slot| slot.borrow().clone())
        .unwrap_or_default()
}

/// The locals of the Rust task that is being polled on this thread, for which nobody has to be attached.
pub(crate) fn current() -> Option<TaskLocals> {
    get(&CURRENT)
}

/// The event loop of the Rust task that is being polled on this thread or, outside of one, the running loop of the thread.
///
/// # Errors
///
/// `RuntimeError` if there is neither.
pub fn get_current_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    if let Some(locals) = current() {
        return Ok(locals.event_loop(py));
    }
    let event_loop = match asyncio::running_loop(py)? {
        Some(event_loop) => Some(event_loop),
        None => get(&OF_THREAD).map(|locals| locals.event_loop(py)),
    };
    event_loop.ok_or_else(no_running_loop)
}

/// The locals of the Rust task that is being polled on this thread or, outside of one, the running loop of the thread with
/// a copy of the current context.
///
/// # Errors
///
/// `RuntimeError` if there is neither.
pub fn get_current_locals(py: Python<'_>) -> PyResult<TaskLocals> {
    find_current_locals(py)?.ok_or_else(no_running_loop)
}

/// [`get_current_locals`], where the want of a loop is no error.
pub(crate) fn find_current_locals(py: Python<'_>) -> PyResult<Option<TaskLocals>> {
    if let Some(locals) = current() {
        return Ok(Some(locals));
    }
    match asyncio::running_loop(py)? {
        Some(event_loop) => in_current_context(event_loop).map(Some),
        None => Ok(get(&OF_THREAD)),
    }
}

/// The running loop of this thread with a copy of the current context, whatever Rust task is being polled.
pub(crate) fn get_running_locals(py: Python<'_>) -> PyResult<TaskLocals> {
    in_current_context(asyncio::get_running_loop(py)?)
}

fn in_current_context(event_loop: Bound<'_, PyAny>) -> PyResult<TaskLocals> {
    let context = asyncio::copy_context(event_loop.py())?;
    Ok(TaskLocals(Arc::new(Inner {
        event_loop: event_loop.unbind(),
        context: Some(context.unbind()),
    })))
}

fn no_running_loop() -> PyErr {
    PyRuntimeError::new_err(
        "no running event loop: this thread runs none, and is not polling a Rust future that knows one. Call this \
         from a coroutine (`async def`), from a future made by `future_into_py` or wrapped in `scope`, or name \
         the loop with a function that ends in `_with_loop` or `_with_locals`",
    )
}

pin_project! {
    /// A future that knows its locals, made by [`scope`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Scope<F> {
        // `None` once the future was dropped.
        #[pin]
        scoped: Option<Scoped<F>>,
    }

    impl<F> PinnedDrop for Scope<F> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

pin_project! {
    // There is one for each task in flight: the pointer in the locals tells whether there is one, at no further cost.
    struct Scoped<F> {
        locals: TaskLocals,
        #[pin]
        future: F,
    }
}

impl<F> Scope<F> {
    /// Drops the future as it was polled, with its locals in place, and gives the locals, which cost least to drop where
    /// somebody is attached. `None` if that was done before.
    pub(crate) fn end(self: Pin<&mut Self>) -> Option<TaskLocals> {
        let mut scoped = self.project().scoped;
        let locals = scoped.as_ref().as_pin_ref()?.locals.clone();
        let _entered = locals.enter();
        scoped.set(None);
        Some(locals)
    }
}

impl<F> fmt::Debug for Scope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("locals", &self.scoped.as_ref().map(|it| &it.locals))
            .finish_non_exhaustive()
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let scoped = self.project().scoped.as_pin_mut();
        let scoped = scoped
            .expect("a future is not polled after it was dropped")
            .project();
        let _entered = scoped.locals.enter();
        scoped.future.poll(cx)
    }
}

/// A future that runs with the locals: inside of it, [`get_current_loop`] and [`get_current_locals`] find them.
///
/// They are in place while the future is polled and while it is dropped, on whichever thread that happens.
pub fn scope<F, R>(locals: TaskLocals, future: F) -> Scope<F>
where
    F: Future<Output = R>,
{
    Scope {
        scoped: Some(Scoped { locals, future }),
    }
}

/// Like [`scope`], for a future that is not `Send`. [`scope`] takes those too: this is the name that others have for it.
pub fn scope_local<F, R>(locals: TaskLocals, future: F) -> Scope<F>
where
    F: Future<Output = R>,
{
    scope(locals, future)
}

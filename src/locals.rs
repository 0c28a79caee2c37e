//! The event loop and the context of a Rust task.
//!
//! While a task is polled or dropped, a guard keeps its locals in a thread-local. This works in the same way for every runtime.
//!
//! A call that is given no locals looks for them in this order:
//!
//! 1. the locals of the task that this thread polls;
//! 2. the loop that runs in this thread, unless [`block_on`](crate::tokio::block_on) blocks it. Only functions that take `py`
//!    look here, because the others need not be attached;
//! 3. the locals of the thread, which a test has;
//! 4. in a thread that blocks: a [background loop](crate::event_loop::background), the same one for each call inside of one
//!    `block_on`.
//!
//! Inside of `block_on`, the locals of a task of the blocked loop do not count. `future_into_py` takes a blocked loop too, and no
//! background loop: without a loop it returns a coroutine.

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
use crate::error::LoopClosed;
use crate::event_loop::{Mailbox, background};
use crate::process::Entry;

/// The event loop and the `contextvars` context that a Rust task belongs to.
///
/// Cheap to clone. A future that [`future_into_py`](crate::tokio::future_into_py) starts carries the locals of its caller, and
/// [`get_current_locals`] returns them inside that future. So most programs never name this type. Use it to call Python from a
/// thread of your own:
///
/// ```
/// use std::sync::Arc;
/// use std::{io, thread};
/// use pyo3::prelude::*;
/// use pyo3_asyncio::TaskLocals;
///
/// /// Reads standard input in a thread, and calls `on_line` for each line, on the event loop that runs here.
/// #[pyfunction]
/// fn read_lines(py: Python<'_>, on_line: Py<PyAny>) -> PyResult<()> {
///     let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
///     let on_line = Arc::new(on_line);
///     thread::spawn(move || {
///         for line in io::stdin().lines().map_while(Result::ok) {
///             let on_line = Arc::clone(&on_line);
///             locals.call_soon(move |py| on_line.call1(py, (line,)).map(drop)).detach();
///         }
///     });
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TaskLocals(Arc<LoopAndContext>);

#[derive(Debug)]
struct LoopAndContext {
    event_loop: Py<PyAny>,
    context: Option<Py<PyAny>>,
    is_shared: bool,
}

impl TaskLocals {
    /// Locals with an event loop and without a context. An awaitable then runs in the context of its caller.
    pub fn new(event_loop: Bound<'_, PyAny>) -> Self {
        open_mailbox(&event_loop);
        event_loop.unbind().into()
    }

    fn of(event_loop: Py<PyAny>, context: Option<Py<PyAny>>, is_shared: bool) -> Self {
        Self(Arc::new(LoopAndContext {
            event_loop,
            context,
            is_shared,
        }))
    }

    /// Locals with the running event loop of this thread and without a context.
    ///
    /// # Errors
    ///
    /// `RuntimeError` if no loop runs in this thread.
    pub fn with_running_loop(py: Python<'_>) -> PyResult<Self> {
        Ok(Self::new(asyncio::get_running_loop(py)?))
    }

    /// The same loop with a `contextvars.Context`, or without one if `context` is `None`.
    #[must_use]
    pub fn with_context(self, context: Bound<'_, PyAny>) -> Self {
        let event_loop = self.0.event_loop.clone_ref(context.py());
        let context = (!context.is_none()).then(|| context.unbind());
        Self::of(event_loop, context, false)
    }

    /// The same loop and context, which is now shared: what is called or awaited with these locals runs in this very context.
    ///
    /// By default it runs in a copy, as a task of asyncio runs in a copy of the context of whoever creates it (PEP 567). It sees the
    /// variables of its caller, and what it sets is its own, so that concurrent calls do not disturb each other. In a shared context,
    /// a call sees what the calls before it have set, as successive awaits in one task do. Choose it for calls that belong together:
    /// the hooks of one request, the steps of one job.
    ///
    /// Locals without a context share a copy of this thread's current one from now on.
    ///
    /// Tasks that share a context may be pending at the same time, and see each other's changes. A context can be entered only
    /// once at a time, so it must not be shared with another thread. `RuntimeError` is the result of a call whose context is
    /// entered already, which takes a loop that runs inside of a callback. A Python task that starts in a shared context makes its
    /// first step in a later turn of the loop.
    ///
    /// Up to Python 3.10, asyncio makes no task in a given context. There, the task steps through the coroutine inside of the
    /// context, so that `task.get_coro()` is not the coroutine itself.
    ///
    /// The very context of a running task is `task.get_context()`, from Python 3.12 on, for [`with_context`](Self::with_context).
    ///
    /// # Errors
    ///
    /// Any error that Python raises while it copies.
    ///
    /// # Example
    ///
    /// ```
    /// use pyo3::prelude::*;
    /// use pyo3_asyncio::tokio::{future_into_py, get_current_locals};
    ///
    /// /// Calls two hooks, one after the other. The second sees the context variables that the first sets.
    /// #[pyfunction]
    /// fn handle(py: Python<'_>, before: Py<PyAny>, after: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    ///     let locals = get_current_locals(py)?.share_context(py)?;
    ///     future_into_py(py, async move {
    ///         locals.run_coroutine(move |py| before.bind(py).call0()).await?;
    ///         locals.run_coroutine(move |py| after.bind(py).call0()).await
    ///     })
    /// }
    ///
    /// # Python::initialize();
    /// # Python::attach(|py| {
    /// #     let program = c"
    /// # import asyncio, contextvars
    /// # request = contextvars.ContextVar('request', default=None)
    /// # async def before():
    /// #     request.set(1)
    /// # async def after():
    /// #     return request.get()
    /// # async def main():
    /// #     assert await handle(before, after) == 1
    /// #     assert request.get() is None
    /// # asyncio.run(main())
    /// # ";
    /// #     let globals = pyo3::types::PyDict::new(py);
    /// #     globals.set_item("handle", wrap_pyfunction!(handle, py)?)?;
    /// #     py.run(program, Some(&globals), None)
    /// # }).unwrap();
    /// ```
    pub fn share_context(self, py: Python<'_>) -> PyResult<Self> {
        let context = match &self.0.context {
            Some(context) => context.clone_ref(py),
            None => asyncio::copy_context(py)?.unbind(),
        };
        let event_loop = self.0.event_loop.clone_ref(py);
        Ok(Self::of(event_loop, Some(context), true))
    }

    pub(crate) fn shares_context(&self) -> bool {
        self.0.is_shared
    }

    /// The context for one call or task: the shared one, or a copy that nobody else enters.
    pub(crate) fn context_for_call<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0.context {
            None => asyncio::copy_context(py),
            Some(context) if self.0.is_shared => Ok(context.bind(py).clone()),
            Some(context) => asyncio::copy_of(context.bind(py)),
        }
    }

    /// The same loop with a copy of this thread's current context (`contextvars.copy_context()`).
    ///
    /// # Errors
    ///
    /// Any error that Python raises while it copies.
    pub fn copy_context(self, py: Python<'_>) -> PyResult<Self> {
        Ok(self.with_context(asyncio::copy_context(py)?))
    }

    /// The event loop.
    pub fn event_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.0.event_loop.bind(py).clone()
    }

    /// The context, or Python's `None`.
    pub fn context<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        let context = self.0.context.as_ref();
        context
            .map_or_else(|| py.None(), |context| context.clone_ref(py))
            .into_bound(py)
    }

    /// Clones the locals.
    #[deprecated(note = "use `clone`, which needs no `py`")]
    pub fn clone_ref(&self, _py: Python<'_>) -> Self {
        self.clone()
    }

    /// The mailbox of the loop. Called on any thread, attached or not.
    pub(crate) fn mailbox(&self) -> PyResult<Mailbox> {
        let mailbox = Mailbox::find(self.0.event_loop.as_ptr() as usize);
        mailbox.ok_or_else(|| {
            LoopClosed::new_err(
                "the event loop is closed, or these TaskLocals were made from a `Py<PyAny>` before anything used the loop: \
                 make them with TaskLocals::new",
            )
        })
    }

    /// Installs the locals on this thread until the guard drops.
    pub(crate) fn enter(&self) -> Entered {
        Entered::replacing(&CURRENT, Some(self.clone()))
    }

    /// Installs the locals of a loop that runs in another thread, until the guard drops. The locals of a polled Rust task and a
    /// loop that this thread runs take precedence.
    #[cfg(feature = "testing")]
    pub(crate) fn enter_thread(&self) -> Entered {
        Entered::replacing(&OF_THREAD, Some(self.clone()))
    }
}

impl From<Py<PyAny>> for TaskLocals {
    fn from(event_loop: Py<PyAny>) -> Self {
        Self::of(event_loop, None, false)
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
    static BLOCKED: RefCell<Option<Blocked>> = const { RefCell::new(None) };
}

/// What the innermost `block_on` of this thread keeps waiting.
struct Blocked {
    /// The address of the loop that this thread runs. 0 if it runs none.
    event_loop: usize,
    /// Whether it is a background loop, and was not blocked before.
    is_marked: bool,
    /// Those of another background loop, once something has asked for them.
    background: Option<TaskLocals>,
}

/// Restores the previous locals when it drops. Neither swapping nor dropping a `TaskLocals` can panic.
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

/// Does nothing in a thread that is ending, whose thread-locals are gone.
fn swap(slot: &'static Slot, locals: Option<TaskLocals>) -> Option<TaskLocals> {
    slot.try_with(|slot| slot.replace(locals))
        .unwrap_or_default()
}

fn get(slot: &'static Slot) -> Option<TaskLocals> {
    slot.try_with(|slot| slot.borrow().clone())
        .unwrap_or_default()
}

/// The locals of the Rust task that is being polled on this thread. Works detached.
pub(crate) fn current() -> Option<TaskLocals> {
    get(&CURRENT)
}

/// The event loop of the Rust task that is being polled on this thread. Outside a task, the running loop of the thread. Inside
/// [`tokio::block_on`](crate::tokio::block_on), which blocks that loop, a [`background_loop`].
///
/// # Errors
///
/// `RuntimeError` if there is none.
pub fn get_current_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(get_current_locals(py)?.event_loop(py))
}

/// The locals of the Rust task that is being polled on this thread. Outside a task, the running loop of the thread with a copy of
/// the current context. Inside [`tokio::block_on`](crate::tokio::block_on), which blocks that loop, those of a
/// [`background_loop`].
///
/// # Errors
///
/// `RuntimeError` if there is none.
pub fn get_current_locals(py: Python<'_>) -> PyResult<TaskLocals> {
    if let Some(locals) = current() {
        return Ok(locals);
    }
    let running = asyncio::running_loop(py)?;
    match running.filter(|event_loop| !is_blocked_here(event_loop.as_ptr() as usize)) {
        Some(event_loop) => in_current_context(event_loop),
        None => locals_of_thread()?.ok_or_else(no_running_loop),
    }
}

/// The locals of the Rust task, the running loop of this thread, even if it is blocked, or the loop that is given to this thread.
pub(crate) fn find_current_locals(py: Python<'_>) -> PyResult<Option<TaskLocals>> {
    if let Some(locals) = current() {
        return Ok(Some(locals));
    }
    match asyncio::running_loop(py)? {
        Some(event_loop) => in_current_context(event_loop).map(Some),
        None => Ok(get(&OF_THREAD)),
    }
}

/// The locals of a private event loop, which runs in a thread of its own, with a copy of this thread's current context.
///
/// It is for synchronous functions that need an event loop, whether this thread runs one or not. [`block_on`] uses it by itself
/// where its future needs a loop. Use this function to await Python on the private loop from elsewhere.
///
/// - The loop is asyncio's, by its policy. Its thread is a `threading.Thread`, a daemon, made at the first use. All callers share
///   the loop. But a loop never waits for itself: on its own thread, and while a callback blocks it, this gives another one.
/// - Like every loop outside of the main thread, it cannot handle signals.
/// - When the process ends, after the callbacks of `atexit`, the tasks of the loop are cancelled, and get a tenth of a second to
///   clean up. The child of a fork makes a loop of its own.
///
/// [`block_on`]: crate::tokio::block_on
///
/// # Errors
///
/// Any error that Python raises while it makes the loop and its thread. From Python 3.12 on, no thread starts once the main
/// thread has ended.
///
/// # Example
///
/// ```
/// use pyo3::prelude::*;
/// use pyo3_asyncio::tokio::{background_loop, block_on};
///
/// /// Calls an `async def`, and blocks until it returns.
/// #[pyfunction]
/// fn call(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
///     let locals = background_loop(py)?;
///     block_on(py, locals.run_coroutine(move |py| function.into_bound(py).call0()))
/// }
/// # Python::initialize();
/// # Python::attach(|py| {
/// #     let globals = pyo3::types::PyDict::new(py);
/// #     globals.set_item("call", wrap_pyfunction!(call, py)?)?;
/// #     py.run(c"async def answer(): return 42\nassert call(answer) == 42", Some(&globals), None)
/// # }).unwrap();
/// ```
pub fn background_loop(py: Python<'_>) -> PyResult<TaskLocals> {
    let entry = Entry::new(py)?;
    in_current_context(background::background_loop(&entry)?)
}

/// Notes that this thread blocks, and keeps the loop that it runs waiting, until this is dropped.
///
/// Calls that need a loop then get a background loop. A future that this thread polls and that waits for the blocked loop fails.
#[must_use = "it is noted until this is dropped"]
pub(crate) struct Blocking {
    outer: Option<Blocked>,
    _outside_task: Option<Entered>,
}

impl Blocking {
    pub(crate) fn begin(py: Python<'_>) -> PyResult<Self> {
        let running = asyncio::running_loop(py)?;
        // Whether this thread polls a task of the loop that it blocks.
        let blocks_task = match (&running, current()) {
            (Some(running), Some(locals)) => running.is(&locals.0.event_loop),
            _ => false,
        };
        let event_loop = running.map_or(0, |running| running.as_ptr() as usize);
        let blocked = Blocked {
            event_loop,
            is_marked: background::mark_blocked(event_loop, true),
            background: None,
        };
        Ok(Self {
            outer: BLOCKED.replace(Some(blocked)),
            _outside_task: blocks_task.then(|| Entered::replacing(&CURRENT, None)),
        })
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        let ended = BLOCKED.replace(self.outer.take());
        if let Some(ended) = ended.filter(|ended| ended.is_marked) {
            background::mark_blocked(ended.event_loop, false);
        }
    }
}

fn with_blocked<R>(look: impl FnOnce(&mut Blocked) -> R) -> Option<R> {
    // An error: the thread is ending, and does not block.
    let looked = BLOCKED.try_with(|blocked| blocked.borrow_mut().as_mut().map(look));
    looked.ok().flatten()
}

/// Whether this thread runs the loop with this address and keeps it waiting.
pub(crate) fn is_blocked_here(address: usize) -> bool {
    with_blocked(|blocked| blocked.event_loop == address).unwrap_or(false)
}

/// The running loop of this thread with a copy of the current context, even while a Rust task is being polled.
pub(crate) fn get_running_locals(py: Python<'_>) -> PyResult<TaskLocals> {
    in_current_context(asyncio::get_running_loop(py)?)
}

fn in_current_context(event_loop: Bound<'_, PyAny>) -> PyResult<TaskLocals> {
    open_mailbox(&event_loop);
    let context = asyncio::copy_context(event_loop.py())?.unbind();
    Ok(TaskLocals::of(event_loop.unbind(), Some(context), false))
}

fn no_running_loop() -> PyErr {
    PyRuntimeError::new_err(
        "no running event loop: this thread runs no loop and polls no Rust future that has one. Call this from a coroutine \
         (`async def`), from a future that `future_into_py` started or `scope` wraps, or use a function that ends in \
         `_with_loop` or `_with_locals`",
    )
}

pin_project! {
    /// A future with locals, made by [`scope`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Scope<F> {
        // `None` once the future is dropped.
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
    // There is one for each task in flight. `Option<Scoped>` adds no size, because the pointer in the locals is never null.
    struct Scoped<F> {
        locals: TaskLocals,
        #[pin]
        future: F,
    }
}

impl<F> Scope<F> {
    /// Whether the future is dropped.
    pub(crate) fn has_ended(&self) -> bool {
        self.scoped.is_none()
    }

    /// Drops the future with its locals in place, unless that is done.
    pub(crate) fn end(self: Pin<&mut Self>) {
        let mut scoped = self.project().scoped;
        let locals = scoped.as_ref().as_pin_ref().map(|it| it.locals.clone());
        let _entered = locals.as_ref().map(TaskLocals::enter);
        scoped.set(None);
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
        let scoped = scoped.expect("a dropped future is not polled").project();
        let _entered = scoped.locals.enter();
        scoped.future.poll(cx)
    }
}

/// Runs a future with the locals: inside it, [`get_current_loop`] and [`get_current_locals`] return them.
///
/// The locals are in place while the future is polled and while it is dropped, on any thread.
pub fn scope<F, R>(locals: TaskLocals, future: F) -> Scope<F>
where
    F: Future<Output = R>,
{
    Scope {
        scoped: Some(Scoped { locals, future }),
    }
}

/// Like [`scope`], which also accepts futures that are not `Send`. This name exists for `pyo3-async-runtimes`.
pub fn scope_local<F, R>(locals: TaskLocals, future: F) -> Scope<F>
where
    F: Future<Output = R>,
{
    scope(locals, future)
}

/// Opens the mailbox of a loop, so that threads find it without attaching. A later use reports any error.
fn open_mailbox(event_loop: &Bound<'_, PyAny>) {
    if let Ok(entry) = Entry::new(event_loop.py()) {
        let _ = Mailbox::of(&entry, event_loop);
    }
}

/// The locals of the current Rust task, or of this thread. Works detached.
pub(crate) fn locals_of_call() -> PyResult<TaskLocals> {
    if let Some(locals) = current() {
        return Ok(locals);
    }
    locals_of_thread()?.ok_or_else(|| {
        PyRuntimeError::new_err(
            "no event loop is known here: call this in a Rust future that future_into_py, run or block_on started or that `scope` \
             wraps, or on TaskLocals that were made where the loop was known",
        )
    })
}

/// The locals of a loop that runs in another thread: of the one that is given to this thread or, inside of `block_on`, of a
/// background loop. It attaches to make that one.
fn locals_of_thread() -> PyResult<Option<TaskLocals>> {
    if let Some(locals) = get(&OF_THREAD) {
        return Ok(Some(locals));
    }
    let Some(known) = with_blocked(|blocked| blocked.background.clone()) else {
        return Ok(None);
    };
    if known.is_some() {
        return Ok(known);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread waits for Python in any case"
    )]
    let locals = Python::attach(background_loop)?;
    drop(with_blocked(|blocked| {
        blocked.background.replace(locals.clone())
    }));
    Ok(Some(locals))
}

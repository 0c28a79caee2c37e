//! The state that a Rust task and its Python future share.
//!
//! # Protocol
//!
//! 1. The outcome is set once. [`settle`](FutureState::settle) sets it on the loop's thread, in a job of the Rust task. After
//!    an eager start that was ready, it does so at once, before anybody has the object.
//!    [`set_from_python`](FutureState::set_from_python) sets it for Python (`cancel`, `set_result`, `set_exception`).
//!    [`cancel_by_post`](FutureState::cancel_by_post) cancels on any thread. Later outcomes are dropped.
//! 2. Before each poll of the user's future, the Rust task calls [`poll_given_up`](FutureState::poll_given_up), which stores
//!    its waker. So the task sees that Python has set the outcome, or is woken when Python sets it. It then drops the user's
//!    future, and never polls it again. With `detach_on_cancel` it goes on to the end instead. Its job then drops the output,
//!    or passes an error to the loop's exception handler.
//! 3. Python's object and the Rust task both hold the state, and neither holds the other. Once a callback is registered, the
//!    state also holds the object, and watches the loop until the outcome is set. It stores the object first. So if the loop
//!    closes in between, the object is found and dropped.
//! 4. If Python drops the object, the Rust future goes on. If that fails, the loop's exception handler is told.
//! 5. `settle` runs inside the drain, an ordinary callback of the loop, so no task is running. It calls the callbacks itself,
//!    each in its context, and reports their errors as asyncio does. Two kinds go through `call_soon` instead: those in debug
//!    mode, where the loop times every callback, and those of `set_from_python`, because a task may be running.
//! 6. A task that awaits the future clears `blocking`, and then registers its wake-up. This is asyncio's own protocol between
//!    `Future.__await__` and `Task`. It shows that the next callback is a task's. A task receives `SystemExit` and
//!    `KeyboardInterrupt` itself. If no task waits, `settle` raises them to the loop.
//! 7. The lock is never held while Python is called or an object is dropped. So the garbage collector may wait for it, though
//!    it holds the interpreter. What the collector is shown changes only while attached.

use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, Waker};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::callbacks::Callback;
use super::future::RustFuture;
use crate::asyncio;
use crate::error::RuntimeStopped;
use crate::event_loop::{Mailbox, Watcher, WatcherKey};
use crate::metrics::Detached;
use crate::process::Entry;
use crate::sync::cell::{Locked, WakerAction, WakerCell};

/// What a Rust task and its Python future share. There is one for each future in flight, so its size counts.
pub(crate) struct FutureState {
    pub(super) mailbox: Mailbox,
    pub(super) made_at: &'static Location<'static>,
    cell: WakerCell<State>,
}

// With its two counters it fits the gap that a 128-aligned task of tokio leaves in the allocator. A word more costs 80 bytes.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const _: () = assert!(size_of::<FutureState>() <= 88);

/// What Python sees.
pub(super) struct State {
    pub(super) outcome: Outcome,
    /// In debug mode.
    pub(super) source_traceback: Option<Py<PyAny>>,
    /// Set while the loop is watched for `Waiting::object`.
    watching: Option<WatcherKey>,
    pub(super) awaiting: Awaiting,
    /// Python dropped the object, so an error cannot be retrieved any more.
    is_object_dropped: bool,
    /// The outcome is an exception that nobody has looked at.
    pub(super) unretrieved: bool,
    detachment: Detachment,
}

/// How far an `await` has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaiting {
    No,
    /// `_asyncio_future_blocking`: it has yielded the future to its task.
    Yielded,
    /// The task has just cleared that: the next callback is its wake-up.
    Taken,
}

/// Whether the Rust future goes on when Python settles first. In one byte.
enum Detachment {
    No,
    WhenSettled,
    /// It goes on.
    Running(Detached),
    /// Its task is done.
    Done,
}

pub(super) enum Outcome {
    Pending(Waiting),
    Value(Py<PyAny>),
    Error {
        error: Py<PyAny>,
        /// As it was when it was set: each await starts from it, so that the traceback does not grow.
        traceback: Option<Py<PyAny>>,
    },
    Cancelled {
        message: Option<Py<PyAny>>,
        /// The error that a Rust future ended with, for the first to ask.
        error: Option<Py<PyAny>>,
    },
}

/// The waiters of a pending outcome.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) callbacks: Vec<Callback>,
    /// The Python object, once there is a callback to pass it to. Nothing else may keep it alive.
    object: Option<Py<RustFuture>>,
}

impl State {
    fn is_settled(&self) -> bool {
        !matches!(self.outcome, Outcome::Pending(_))
    }

    /// Whether the Rust future is to be dropped, because the outcome is there.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_settled() && matches!(self.detachment, Detachment::No)
    }
}

impl FutureState {
    pub(super) fn new(
        mailbox: Mailbox,
        event_loop: &Bound<'_, PyAny>,
        made_at: &'static Location<'static>,
        detaches: bool,
    ) -> PyResult<Self> {
        let source_traceback = if asyncio::is_debug(event_loop)? {
            asyncio::extract_stack(event_loop.py())?.map(Bound::unbind)
        } else {
            None
        };
        Ok(Self {
            mailbox,
            made_at,
            cell: WakerCell::new(State {
                outcome: Outcome::Pending(Waiting::default()),
                source_traceback,
                watching: None,
                awaiting: Awaiting::No,
                is_object_dropped: false,
                unretrieved: false,
                detachment: match detaches {
                    true => Detachment::WhenSettled,
                    false => Detachment::No,
                },
            }),
        })
    }

    pub(super) fn state(&self) -> Locked<'_, State, 1> {
        self.cell.lock()
    }

    /// Whether the Rust future is to be dropped, because the outcome is there. If not, `waker` is woken when Python settles.
    pub(super) fn poll_given_up(&self, waker: &Waker) -> Poll<()> {
        self.cell
            .poll(0, waker, |state| state.is_given_up().then_some(()))
    }

    /// Whether the Rust future goes on to its end, whatever Python does.
    pub(super) fn detaches(&self) -> bool {
        !matches!(self.state().detachment, Detachment::No)
    }

    /// The Rust task is done, and is not woken any more.
    pub(super) fn task_is_done(&self) {
        self.cell.change(|state| {
            if !matches!(state.detachment, Detachment::No) {
                state.detachment = Detachment::Done;
            }
            ((), [WakerAction::Forget])
        });
    }

    /// Reports the error of a Rust future that went on after Python had settled.
    pub(super) fn report_detached(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        if asyncio::ends_the_loop(py, &error) {
            return Err(error);
        }
        if asyncio::is_cancelled_error(py, &error)? {
            return Ok(());
        }
        let Some(event_loop) = self.mailbox.event_loop(py) else {
            return Ok(());
        };
        let message =
            "exception in a Rust future that went on after its Python future was cancelled";
        let error = error.into_value(py).into_bound(py).into_any();
        asyncio::call_exception_handler(&event_loop, message, &error, None, None)
    }

    pub(super) fn is_done(&self) -> bool {
        self.state().is_settled()
    }

    /// Registers a callback, or schedules it if the outcome is there.
    pub(super) fn add_callback(
        self: &Arc<Self>,
        future: &Bound<'_, RustFuture>,
        function: Bound<'_, PyAny>,
        context: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = future.py();
        let _entry = Entry::new(py)?;
        if self.mailbox.is_inherited() && !self.is_done() {
            self.set_from_python(py, Outcome::error(inherited().value(py).as_any())?)?;
        }
        let mut callback = Callback {
            function: function.unbind(),
            context: context.unbind(),
            is_waiter: false,
        };
        let late = {
            let mut state = self.state();
            if state.awaiting == Awaiting::Taken {
                state.awaiting = Awaiting::No;
                callback.is_waiter = true;
            }
            match &mut state.outcome {
                Outcome::Pending(waiting) => {
                    // There is nearly always one.
                    waiting.callbacks.reserve_exact(1);
                    waiting.callbacks.push(callback);
                    if waiting.object.is_some() {
                        return Ok(());
                    }
                    waiting.object = Some(future.clone().unbind());
                    None
                }
                _ => Some(callback),
            }
        };
        match late {
            Some(callback) => callback.call_soon(future.get().event_loop.bind(py), future.as_any()),
            None => {
                self.watch();
                Ok(())
            }
        }
    }

    /// Watches the loop, so that the garbage collector sees the stored object. Drops the object if the loop is closed.
    fn watch(self: &Arc<Self>) {
        let key = self.mailbox.watch(Arc::clone(self) as Arc<dyn Watcher>);
        let (superfluous, object) = {
            let mut state = self.state();
            match (&mut state.outcome, key) {
                (Outcome::Pending(waiting), None) => (None, waiting.object.take()),
                (Outcome::Pending(_), Some(key)) => {
                    state.watching = Some(key);
                    (None, None)
                }
                (_, key) => (key, None),
            }
        };
        if let Some(key) = superfluous {
            self.mailbox.unwatch(key);
        }
        drop(object);
    }

    /// The Rust task's result. On the loop's thread, from the drain.
    pub(super) fn settle(
        self: &Arc<Self>,
        py: Python<'_>,
        result: PyResult<Py<PyAny>>,
    ) -> PyResult<()> {
        let mut exit = None;
        let outcome = match result {
            Ok(value) => Outcome::Value(value),
            Err(error) => {
                if asyncio::ends_the_loop(py, &error) {
                    exit = Some(error.clone_ref(py));
                }
                Outcome::from_error(py, error).unwrap_or_else(|error| Outcome::Error {
                    error: error.into_value(py).into_any(),
                    traceback: None,
                })
            }
        };
        let Some((future, callbacks)) = self.set(outcome) else {
            return Ok(());
        };
        if callbacks.iter().any(|it| it.is_waiter) {
            // The awaiting task receives it, and raises it to the loop unless it catches it.
            exit = None;
        }
        if let Some(future) = future {
            self.call(py, &future, &callbacks)?;
        }
        if let Some(exit) = exit {
            // asyncio raises the exit of a task to the loop too, and `run_until_complete` relies on that.
            self.state().unretrieved = false;
            return Err(exit);
        }
        let is_object_dropped = self.state().is_object_dropped;
        if let (true, Some(event_loop)) = (is_object_dropped, self.mailbox.event_loop(py)) {
            self.object_dropped(&event_loop);
        }
        Ok(())
    }

    /// Calls back from the drain.
    fn call(
        &self,
        py: Python<'_>,
        future: &Py<RustFuture>,
        callbacks: &[Callback],
    ) -> PyResult<()> {
        let event_loop = future.get().event_loop.bind(py);
        let future = future.bind(py).as_any();
        let mut callbacks = callbacks.iter();
        let interrupted = if self.mailbox.is_debug() {
            Ok(())
        } else {
            callbacks.try_for_each(|callback| callback.run(event_loop, future))
        };
        // A KeyboardInterrupt in one task is not the end of the next.
        for callback in callbacks {
            callback.call_soon(event_loop, future)?;
        }
        interrupted
    }

    /// Sets an outcome for Python, which drops the Rust future. `false` if there was an outcome already.
    ///
    /// Every callback goes through `call_soon`, because the caller may be a task, and no task can run within another.
    pub(super) fn set_from_python(
        self: &Arc<Self>,
        py: Python<'_>,
        outcome: Outcome,
    ) -> PyResult<bool> {
        let _entry = Entry::new(py)?;
        let Some((future, callbacks)) = self.set(outcome) else {
            return Ok(false);
        };
        if let Some(future) = future {
            let event_loop = future.get().event_loop.bind(py);
            for callback in &callbacks {
                callback.call_soon(event_loop, future.bind(py).as_any())?;
            }
        }
        Ok(true)
    }

    /// Cancels from any thread, and from within a collection of garbage: callbacks go through the drain.
    pub(super) fn cancel_by_post(self: &Arc<Self>) {
        if let Some((Some(future), callbacks)) = self.set(Outcome::CANCELLED) {
            let shared = Arc::clone(self);
            let call = move |py: Python<'_>| shared.call(py, &future, &callbacks);
            // A closed loop drops the job, and calls nothing back.
            self.mailbox.post(Box::new(call));
        }
    }

    /// Sets the outcome and takes the waiters out, unless there is an outcome already.
    fn set(&self, outcome: Outcome) -> Option<(Option<Py<RustFuture>>, Vec<Callback>)> {
        if self.mailbox.is_inherited() {
            // The Rust task is in the parent, where nobody has settled anything.
            self.task_is_done();
        }
        let (previous, key) = self.cell.change(|state| {
            if state.is_settled() {
                // Dropped without the lock, as the other one is.
                return ((outcome, None), [WakerAction::Keep]);
            }
            state.unretrieved = matches!(outcome, Outcome::Error { .. });
            if matches!(state.detachment, Detachment::WhenSettled) {
                state.detachment = Detachment::Running(Detached::start());
            }
            let previous = std::mem::replace(&mut state.outcome, outcome);
            ((previous, state.watching.take()), [WakerAction::Wake])
        });
        let Outcome::Pending(waiting) = previous else {
            return None;
        };
        if let Some(key) = key {
            self.mailbox.unwatch(key);
        }
        Some((waiting.object, waiting.callbacks))
    }

    /// Python dropped its object.
    pub(super) fn object_dropped(self: &Arc<Self>, event_loop: &Bound<'_, PyAny>) {
        {
            let mut state = self.state();
            state.is_object_dropped = true;
            if !state.unretrieved {
                return;
            }
        }
        // The handler's context has the future. A new object takes the place of the one that is gone.
        let future = RustFuture::new(Arc::clone(self), event_loop, None);
        match Bound::new(event_loop.py(), future) {
            Ok(future) => self.report_unretrieved(&future),
            Err(error) => error.write_unraisable(event_loop.py(), Some(event_loop)),
        }
    }

    /// Reports an exception that nobody can retrieve any more to the loop's exception handler.
    pub(super) fn report_unretrieved(&self, future: &Bound<'_, RustFuture>) {
        let py = future.py();
        let (error, stack) = {
            let mut state = self.state();
            if !std::mem::take(&mut state.unretrieved) {
                return;
            }
            let Outcome::Error { error, .. } = &state.outcome else {
                return;
            };
            let stack = state.source_traceback.as_ref();
            (error.clone_ref(py), stack.map(|it| it.bind(py).clone()))
        };
        let event_loop = future.get().event_loop.bind(py);
        let reported = asyncio::source_traceback(py, stack, self.made_at).and_then(|source| {
            asyncio::call_exception_handler(
                event_loop,
                "RustFuture exception was never retrieved",
                error.bind(py),
                Some(future.as_any()),
                Some(&source),
            )
        });
        if let Err(error) = reported {
            error.write_unraisable(py, Some(event_loop));
        }
    }

    /// Shows the garbage collector the objects that only this state owns.
    pub(super) fn traverse_owned(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let state = self.state();
        visit.call(&state.source_traceback)?;
        match &state.outcome {
            Outcome::Pending(waiting) => {
                let mut callbacks = waiting.callbacks.iter();
                callbacks.try_for_each(|callback| {
                    visit.call(&callback.function)?;
                    visit.call(&callback.context)
                })
            }
            Outcome::Value(value) => visit.call(value),
            Outcome::Error { error, traceback } => {
                visit.call(error)?;
                visit.call(traceback)
            }
            Outcome::Cancelled { message, error } => {
                visit.call(message)?;
                visit.call(error)
            }
        }
    }

    /// Breaks the cycles that `traverse_owned` shows.
    pub(super) fn clear(&self) {
        let cleared = {
            let mut state = self.state();
            let cleared = match &state.outcome {
                // The Rust task may still settle it.
                Outcome::Pending(_) => Outcome::Pending(Waiting::default()),
                _ => Outcome::CANCELLED,
            };
            std::mem::replace(&mut state.outcome, cleared)
        };
        drop(cleared);
    }
}

fn inherited() -> PyErr {
    RuntimeStopped::new_err(
        "the Rust future runs in the parent of this process, which has forked since: it never ends here",
    )
}

impl Watcher for FutureState {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let state = self.state();
        match &state.outcome {
            Outcome::Pending(waiting) => visit.call(&waiting.object),
            _ => Ok(()),
        }
    }

    fn loop_closed(&self, _py: Python<'_>) {
        let waiting = {
            let mut state = self.state();
            state.watching = None;
            match &mut state.outcome {
                Outcome::Pending(waiting) => Some(std::mem::take(waiting)),
                _ => None,
            }
        };
        drop(waiting);
    }
}

impl Outcome {
    pub(super) const CANCELLED: Self = Self::Cancelled {
        message: None,
        error: None,
    };

    /// An error that a Rust future ended with, as a task would take it.
    fn from_error(py: Python<'_>, error: PyErr) -> PyResult<Self> {
        if asyncio::is_cancelled_error(py, &error)? {
            return Ok(Self::Cancelled {
                message: None,
                error: Some(error.into_value(py).into_any()),
            });
        }
        Self::error(error.into_value(py).bind(py))
    }

    pub(super) fn error(error: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self::Error {
            error: error.clone().unbind(),
            traceback: asyncio::traceback(error)?.map(Bound::unbind),
        })
    }

    /// As `Future._state` has it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pending(_) => "PENDING",
            Self::Value(_) | Self::Error { .. } => "FINISHED",
            Self::Cancelled { .. } => "CANCELLED",
        }
    }
}

/// Wraps a `StopIteration`: it would end the generator that awaits instead of reaching it.
pub(super) fn can_be_raised(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let replacement = PyRuntimeError::new_err("a Rust future raised StopIteration");
    replacement.set_cause(py, Some(error));
    replacement
}

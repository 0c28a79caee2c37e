//! A Python async iterable as a Rust stream.
//!
//! # Protocol
//!
//! 1. The first poll starts one task on the loop, as [`run_coroutine`](super::task) does. Its coroutine iterates with
//!    `async for`, written in Python. The [`PyTask`] gives the end of the iteration, and its error.
//! 2. The coroutine collects items in a list. When a step of the task ends, it delivers those of the step together: it converts
//!    them and pushes them to the [`bounded`](crate::sync::bounded) buffer, which wakes the consumer.
//! 3. When the coroutine has no room left, it awaits a Python future. Either the delivery finds room and settles the future, or
//!    the consumer takes items and posts a job that does. So the coroutine yields to the loop at least once for each `capacity`
//!    items.
//! 4. The items of a step are delivered before the task ends. So the stream looks for items again once the task has ended.
//! 5. An error of a conversion is the last item. The coroutine then ends the iteration.
//! 6. Dropping the stream cancels the task, and the coroutine awaits `aclose()`. A generator may swallow the cancellation, or
//!    yield an item before it comes. The coroutine then ends the iteration by itself. Once it awaits `aclose()`, the stream
//!    does not cancel the task any more, which would interrupt the clean-up.
//! 7. An error that the stream does not give goes to the loop's exception handler.

mod channel;
#[cfg(feature = "unstable-streams")]
mod reporting;

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::call::Function;
use super::task::{CleansUp, PyTask};
use crate::asyncio;
use crate::event_loop::Mailbox;
use crate::locals::TaskLocals;
use crate::process::Entry;
use crate::sync::bounded::Wanted;
use crate::user_value::UserValue;
use channel::{Channel, Consumer, ConvertItem, Sink};

/// How many items may be made before they are taken, unless the program says otherwise.
const CAPACITY: usize = 128;

/// A Python async iterable as a Rust stream, made by [`tokio::into_stream`](crate::tokio::into_stream),
/// [`tokio::run_async_generator`](crate::tokio::run_async_generator) and similar functions.
///
/// The iterable is an async generator, or any object with `__aiter__`. The stream gives its items, then the error that ended the
/// iteration, if there was one, and then `None`.
///
/// Nothing runs before the first poll. Then *one* task of the event loop iterates over the whole stream, in one context. It may be
/// ahead of the consumer by as many items as [`capacity`](Self::capacity) says. Items that are ready in the same turn of the loop
/// arrive together. [`extract`](Self::extract) and [`and_then`](Self::and_then) convert them on the loop's thread.
///
/// *Dropping this ends the iteration*: it cancels a pending `__anext__()`, and the loop awaits `aclose()`, if the iterator has it.
/// So the `finally` blocks of a generator run, and may await. What they raise goes to the loop's exception handler. A generator that
/// is at its end already, ahead of the consumer, gets the cancellation in its last `finally` block, as a task would.
/// [`close`](Self::close) does the same, waits, and gives the error. [`detach`](Self::detach) lets the iteration run on.
///
/// # Errors
///
/// An error is always the last item:
///
/// - what the iteration raises, and `asyncio.CancelledError` if its task is cancelled;
/// - the error of a conversion;
/// - [`LoopClosed`](crate::err::LoopClosed) if the loop closes first, or if the process was forked since;
/// - `RuntimeError` if the thread that polls this blocks the event loop.
#[must_use = "streams do nothing unless you poll them"]
pub struct PyStream<T = Py<PyAny>>(StreamState<T>);

enum StreamState<T> {
    Idle(Setup, ConvertItem<T>),
    Failed(PyErr),
    Running(Iteration<T>),
    Over,
}

/// All that a first poll needs.
struct Setup {
    mailbox: Mailbox,
    made_at: &'static Location<'static>,
    locals: TaskLocals,
    name: Cow<'static, str>,
    /// Gives the iterable.
    source: Function,
    capacity: usize,
}

struct Iteration<T> {
    /// Dropped before the task, which is cancelled when nobody wants its items any more.
    consumer: Consumer<T>,
    task: PyTask,
}

/// Iterates over a Python async iterable on the loop and in the context of `locals`.
///
/// If `locals` has no context, the iteration runs in this thread's current context. See [`PyStream`].
///
/// # Errors
///
/// `TypeError` if the object is no async iterable, [`LoopClosed`](crate::err::LoopClosed) if the loop is closed.
#[track_caller]
pub fn into_stream_with_locals(
    locals: &TaskLocals,
    iterable: Bound<'_, PyAny>,
) -> PyResult<PyStream> {
    let py = iterable.py();
    let entry = Entry::new(py)?;
    check_iterable(&iterable)?;
    let mailbox = Mailbox::of(&entry, &locals.event_loop(py))?;
    let locals = match locals.context(py).is_none() {
        true => locals.clone().copy_context(py)?,
        false => locals.clone(),
    };
    let name = asyncio::name_of(&iterable).into();
    let iterable = iterable.unbind();
    let source = Box::new(|_: Python<'_>| Ok(iterable));
    Ok(PyStream::new(
        mailbox,
        locals,
        name,
        source,
        Location::caller(),
    ))
}

/// Calls a function on the thread of the event loop, and iterates there over the async iterable that it returns.
#[track_caller]
pub(crate) fn run_async_generator<F>(locals: PyResult<TaskLocals>, function: F) -> PyStream
where
    F: FnOnce(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + 'static,
{
    let made_at = Location::caller();
    let function = UserValue::of_any_runtime(function);
    match locals.and_then(|locals| Ok((locals.mailbox()?, locals))) {
        Ok((mailbox, locals)) => {
            let source = Box::new(|py: Python<'_>| Ok(function.into_inner()(py)?.unbind()));
            PyStream::new(mailbox, locals, type_name::<F>().into(), source, made_at)
        }
        Err(error) => PyStream(StreamState::Failed(error)),
    }
}

fn check_iterable(iterable: &Bound<'_, PyAny>) -> PyResult<()> {
    if asyncio::is_async_iterable(iterable)? {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "cannot iterate over {iterable:?} of type {} with `async for`: pass an async generator, or another object with __aiter__",
        iterable.get_type().fully_qualified_name()?
    )))
}

impl PyStream {
    fn new(
        mailbox: Mailbox,
        locals: TaskLocals,
        name: Cow<'static, str>,
        source: Function,
        made_at: &'static Location<'static>,
    ) -> Self {
        let setup = Setup {
            mailbox,
            made_at,
            locals,
            name,
            source,
            capacity: CAPACITY,
        };
        Self(StreamState::Idle(setup, Box::new(|item| Ok(item.unbind()))))
    }

    /// Converts each item on the loop's thread, which is attached anyway.
    ///
    /// The consumer gets Rust values and never waits for the interpreter. The loop calls `function` attached, for all items of a
    /// turn in a row. A slow `function` delays the loop. An error that `function` returns is the last item, and ends the iteration
    /// as dropping the stream does. So does a panic, as [`RustPanic`](crate::err::RustPanic).
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    pub fn and_then<F, T>(self, function: F) -> PyStream<T>
    where
        F: FnMut(Python<'_>, Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
        T: Send + 'static,
    {
        let mut function = UserValue::of_any_runtime(function);
        PyStream(match self.0 {
            StreamState::Idle(setup, _) => StreamState::Idle(
                setup,
                Box::new(move |item| function.get_mut()(item.py(), item)),
            ),
            StreamState::Failed(error) => StreamState::Failed(error),
            StreamState::Running(_) | StreamState::Over => panic!("{POLLED_BEFORE}"),
        })
    }

    /// Extracts each item on the loop's thread: [`and_then`](Self::and_then) with
    /// [`extract`](pyo3::types::PyAnyMethods::extract).
    ///
    /// # Panics
    ///
    /// If the stream was polled before.
    pub fn extract<T>(self) -> PyStream<T>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py> + Send + 'static,
    {
        self.and_then(|_, item| item.extract::<T>().map_err(Into::into))
    }
}

const POLLED_BEFORE: &str = "a stream is set up before its first poll";

impl<T: Send + 'static> PyStream<T> {
    /// Sets how many items the iteration may be ahead of the consumer, at least 1. The default is 128.
    ///
    /// With 1, the iteration goes on to the next item once the stream has given the one before. A larger capacity costs less for
    /// each item: the consumer wakes the loop once for each half of the capacity.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or if the stream was polled before.
    pub fn capacity(mut self, capacity: usize) -> Self {
        assert!(capacity > 0, "the capacity of a stream is at least 1");
        match &mut self.0 {
            StreamState::Idle(setup, _) => setup.capacity = capacity,
            StreamState::Failed(_) => {}
            StreamState::Running(_) | StreamState::Over => panic!("{POLLED_BEFORE}"),
        }
        self
    }

    /// Lets the iteration run on to its end, without taking its items.
    ///
    /// If it has not started, it starts now. If it fails, the loop's exception handler gets the error.
    pub fn detach(mut self) {
        self.start();
        if let StreamState::Running(Iteration { consumer, task }) = self.0 {
            consumer.stop(Wanted::Detached);
            task.detach();
        }
    }

    /// Ends the iteration, and waits until the iterator has cleaned up.
    ///
    /// Cancels a pending `__anext__()`, and awaits `aclose()` on the loop, if the iterator has it. Does nothing if the iteration
    /// has not started. Dropping the returned future does not interrupt the clean-up.
    ///
    /// # Errors
    ///
    /// What the iteration or its clean-up raises, and [`LoopClosed`](crate::err::LoopClosed) if the loop closes before the
    /// clean-up is over.
    pub async fn close(self) -> PyResult<()> {
        let Iteration { mut consumer, task } = match self.0 {
            StreamState::Running(iteration) => iteration,
            StreamState::Failed(error) => return Err(error),
            StreamState::Idle(..) | StreamState::Over => return Ok(()),
        };
        consumer.stop(Wanted::Nothing);
        if let Some(end) = consumer.end() {
            return end;
        }
        task.cancel();
        task.await.map(drop)
    }

    fn start(&mut self) {
        if !matches!(self.0, StreamState::Idle(..)) {
            return;
        }
        if let StreamState::Idle(setup, convert) = std::mem::replace(&mut self.0, StreamState::Over)
        {
            self.0 = StreamState::Running(setup.run(convert));
        }
    }
}

impl Setup {
    /// Posts the job that starts the task. Called on any thread, attached or not.
    fn run<T: Send + 'static>(self, convert: ConvertItem<T>) -> Iteration<T> {
        let (source, capacity) = (self.source, self.capacity);
        let (mailbox, made_at) = (self.mailbox.clone(), self.made_at);
        let (consumer, producer) = Channel::open(mailbox, capacity, convert, made_at);
        let cleans_up = CleansUp::default();
        let sets_cleans_up = Arc::clone(&cleans_up);
        let iterate = Box::new(move |py: Python<'_>| {
            let iterable = source(py)?.into_bound(py);
            check_iterable(&iterable)?;
            let iterator = asyncio::aiter(&iterable)?;
            let sink = Sink {
                channel: producer,
                iterator: iterator.clone().unbind(),
                cleans_up: sets_cleans_up,
            };
            let sink = Bound::new(py, sink)?.into_any();
            Ok(asyncio::iterate(&sink, &iterator, capacity)?.unbind())
        });
        let task = PyTask::call(
            self.mailbox,
            self.locals,
            self.name,
            iterate,
            Some(cleans_up),
            made_at,
        );
        Iteration { consumer, task }
    }
}

impl<T: Send + 'static> Stream for PyStream<T> {
    type Item = PyResult<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PyResult<T>>> {
        self.start();
        let item = match &mut self.0 {
            StreamState::Running(Iteration { consumer, task }) => ready!(consumer.poll(task, cx)),
            _ => match std::mem::replace(&mut self.0, StreamState::Over) {
                StreamState::Failed(error) => Some(Err(error)),
                _ => None,
            },
        };
        if !matches!(item, Some(Ok(_))) {
            self.0 = StreamState::Over;
        }
        Poll::Ready(item)
    }
}

impl<T> Unpin for PyStream<T> {}

impl<T> fmt::Debug for PyStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyStream").finish_non_exhaustive()
    }
}

//! Streams that Python iterates over.
//!
//! The async generator is Python's own: see [`asyncio::async_generator`]. This module brings its items, in batches. Each batch
//! is the outcome of a Rust future, [`Fetch`], which crosses as every other future does, as a coroutine.
//!
//! # Protocol
//!
//! 1. The stream is in its [slot](crate::sync::stream_slot) while nobody awaits an item. A fetch takes it out, and puts it back
//!    when it has a batch. So the stream is polled only while an item is awaited.
//! 2. A fetch is ready as soon as the stream has an item. It takes more items while they are ready at once, up to the capacity,
//!    and for [`PATIENCE`]. If a batch was full within that time, the stream probably has more items, and the next fetch starts
//!    eagerly.
//! 3. The end of the stream, its error or its panic goes to the slot, and the fetch brings the items before it. The next fetch
//!    finds it there.
//! 4. Closing the generator, or the loop, ends the slot and drops the stream in it. A fetch that is under way finds the slot
//!    ended, and drops the stream instead of putting it back. A fetch that is cancelled drops the stream with itself.
//! 5. The stream is never polled or dropped with the lock of the slot held. It is dropped inside of the runtime's context.

mod slot;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::begin::{Executor, FirstStep, Kept};
use super::cancel::OnCancel;
use super::coroutine::{RustCoroutine, traverse_arguments};
use super::crossing::Failure;
use super::plan::{Crossed, Plan};
use crate::asyncio;
use crate::event_loop::Mailbox;
use crate::locals::get_running_locals;
use crate::panic::catch;
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::sync::primitive::lock;
use crate::user_value::{UserValue, drop_in};
use slot::{Stage, WatchedSlot};

/// A fetch takes no more items after this time. A few crossings take as long, so a batch is worth its crossing.
const PATIENCE: Duration = Duration::from_micros(50);

/// What the async generator of a stream calls.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct RustStream(Box<dyn Source>);

impl Drop for RustStream {
    fn drop(&mut self) {
        asyncio::in_deallocation(|py| self.close(py));
    }
}

trait Source: Send + Sync {
    /// The coroutine of the next batch. `None` if the stream has ended.
    fn fetch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, RustCoroutine>>>;
    fn close(&self);
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

#[pymethods]
impl RustStream {
    fn fetch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, RustCoroutine>>> {
        self.0.fetch(py)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.close(py);
    }
}

/// Makes the async generator of a stream. `E` polls its fetches, and `K` keeps it in between.
pub(super) fn generate<R, E, S, K, T>(
    py: Python<'_>,
    mut plan: Plan,
    stream: S,
) -> PyResult<Bound<'_, PyAny>>
where
    R: Runtime,
    E: Executor<Fetch<R, S, K, T>, Batch<R, K, T>>,
    S: Stream<Item = PyResult<T>> + 'static,
    K: Kept<Pin<Box<S>>> + Send + 'static,
    T: Crossed,
{
    let source = StreamSource::<R, E, S, K, T> {
        slot: Arc::new(WatchedSlot::new(K::pack(Box::pin(stream)))),
        arguments: Mutex::new(std::mem::take(&mut plan.arguments)),
        plan,
        executor: PhantomData,
    };
    asyncio::async_generator(Bound::new(py, RustStream(Box::new(source)))?.into_any())
}

struct StreamSource<R: Runtime, E, S, K, T> {
    slot: Arc<WatchedSlot<R, K>>,
    plan: Plan,
    /// Python objects that the stream owns until its first poll, for the garbage collector to see.
    arguments: Mutex<Vec<Py<PyAny>>>,
    executor: PhantomData<fn(E, S) -> T>,
}

impl<R, E, S, K, T> Source for StreamSource<R, E, S, K, T>
where
    R: Runtime,
    E: Executor<Fetch<R, S, K, T>, Batch<R, K, T>>,
    S: Stream<Item = PyResult<T>> + 'static,
    K: Kept<Pin<Box<S>>> + Send + 'static,
    T: Crossed,
{
    fn fetch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, RustCoroutine>>> {
        let entry = Entry::new(py)?;
        let plan = &self.plan;
        let locals = plan.locals.clone();
        let locals = locals.map_or_else(|| get_running_locals(py), Ok)?;
        let mailbox = Mailbox::of(&entry, &locals.event_loop(py))?;
        let Some((stream, is_ready)) = self.slot.take(py, mailbox, plan.made_at)? else {
            return Ok(None);
        };
        let start = FirstStep::<E, _, _, Batch<R, K, T>> {
            future: UserValue::new::<R>(Fetch {
                stream: Some(stream),
                slot: Arc::clone(&self.slot),
                items: Vec::new(),
                capacity: plan.capacity.get(),
                stream_type: PhantomData,
            }),
            plan: Plan {
                names: None,
                name: None,
                eager_start: plan.eager_start || is_ready,
                locals: Some(locals),
                on_cancel: OnCancel::Drop,
                share_context: false,
                arguments: std::mem::take(&mut *lock(&self.arguments)),
                capacity: plan.capacity,
                made_at: plan.made_at,
                spans: plan.spans.clone(),
            },
            executor: PhantomData,
        };
        let names = plan.names.unwrap_or(|| ("rust_stream", None));
        RustCoroutine::new(py, names, plan.made_at, Box::new(start)).map(Some)
    }

    fn close(&self) {
        self.slot.close();
        let arguments = std::mem::take(&mut *lock(&self.arguments));
        drop(arguments);
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        traverse_arguments(&lock(&self.arguments), visit)
    }
}

/// Polls a stream until it has an item.
pub(crate) struct Fetch<R: Runtime, S, K, T> {
    /// `None` on another thread than that of a stream that is not `Send`, and when the fetch is done.
    stream: Option<K>,
    slot: Arc<WatchedSlot<R, K>>,
    items: Vec<T>,
    capacity: usize,
    stream_type: PhantomData<fn() -> S>,
}

impl<R: Runtime, S, K, T> Unpin for Fetch<R, S, K, T> {}

impl<R, S, K, T> Future for Fetch<R, S, K, T>
where
    R: Runtime,
    S: Stream<Item = PyResult<T>>,
    K: Kept<Pin<Box<S>>> + Send + 'static,
{
    type Output = PyResult<Batch<R, K, T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let stream = this.stream.take().and_then(K::unpack);
        let Some(mut stream) = stream else {
            return Poll::Ready(Err(PyRuntimeError::new_err(
                "the Rust stream of this async generator is not Send: iterate over it on the thread that made it",
            )));
        };
        let polled = catch(|| fill(stream.as_mut(), &mut this.items, this.capacity, cx));
        let (is_ready, end) = match polled {
            Ok(Poll::Pending) if this.items.is_empty() => {
                this.stream = Some(K::pack(stream));
                return Poll::Pending;
            }
            Ok(Poll::Pending) => (false, None),
            Ok(Poll::Ready(Some(Ok(is_ready)))) => (is_ready, None),
            Ok(Poll::Ready(Some(Err(error)))) => {
                (false, Some(Stage::Failed(Failure::Error(error))))
            }
            Ok(Poll::Ready(None)) => (false, Some(Stage::Ended)),
            Err(panic) => (false, Some(Stage::Failed(Failure::Panic(panic)))),
        };
        let stage = match end {
            None => Stage::Parked {
                stream: K::pack(stream),
                is_ready,
            },
            Some(end) => match (catch(|| drop(stream)), end) {
                (Err(panic), Stage::Ended) => Stage::Failed(Failure::Panic(panic)),
                (_, end) => end,
            },
        };
        this.slot.put_back(stage);
        Poll::Ready(Ok(Batch {
            items: std::mem::take(&mut this.items),
            slot: Arc::clone(&this.slot),
        }))
    }
}

/// Takes items while they are ready, until there are enough. Says then whether that was soon.
fn fill<S, T>(
    mut stream: Pin<&mut S>,
    items: &mut Vec<T>,
    capacity: usize,
    cx: &mut Context<'_>,
) -> Poll<Option<PyResult<bool>>>
where
    S: Stream<Item = PyResult<T>>,
{
    let started = Instant::now();
    loop {
        match ready!(stream.as_mut().poll_next(cx)) {
            Some(Ok(item)) => items.push(item),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        }
        let is_full = items.len() >= capacity;
        // Reading the clock takes as long as a poll may.
        if is_full || items.len().is_power_of_two() {
            let is_late = started.elapsed() > PATIENCE;
            if is_full || is_late {
                return Poll::Ready(Some(Ok(!is_late)));
            }
        }
    }
}

/// Items, on their way to Python.
pub(crate) struct Batch<R: Runtime, K, T> {
    items: Vec<T>,
    slot: Arc<WatchedSlot<R, K>>,
}

impl<'py, R, K, T> IntoPyObject<'py> for Batch<R, K, T>
where
    R: Runtime,
    K: Send + 'static,
    T: Crossed,
{
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    /// Converts the items. An item that does not convert ends the stream after those before it.
    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut converted = Vec::with_capacity(self.items.len());
        let mut items = self.items.into_iter();
        let result = catch(|| {
            items.try_for_each(|item| {
                converted.push(item.into_py_any(py)?);
                Ok(())
            })
        });
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Failure::Error(error)),
            Err(panic) => Some(Failure::Panic(panic)),
        };
        if let Some(failure) = failure {
            self.slot.fail(failure);
            py.detach(|| drop_in::<R>(|| drop(items)));
        }
        PyList::new(py, converted)
    }
}

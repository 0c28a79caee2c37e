//! What a [`PyStream`](super::PyStream) and the coroutine that iterates for it share. [`stream`](super) describes the protocol.

use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::asyncio;
use crate::error::rust_panic;
use crate::event_loop::Mailbox;
use crate::panic::catch;
use crate::sync::bounded::{Bounded, Taken, Wanted};
use crate::sync::primitive::lock;
use crate::to_rust::call::report;
use crate::to_rust::task::{CleansUp, PyTask, loop_in_parent};
use crate::trace::Spans;
use crate::user_value::UserValue;

pub(super) type ConvertItem<T> = Box<dyn FnMut(Bound<'_, PyAny>) -> PyResult<T> + Send>;

pub(super) struct Channel<T> {
    mailbox: Mailbox,
    made_at: &'static Location<'static>,
    spans: Spans,
    items: Bounded<PyResult<UserValue<T>>>,
    /// Taken while it converts.
    convert: Mutex<Option<ConvertItem<T>>>,
    /// The Python future that is settled when there is room. Changed only while attached.
    asked: Mutex<Option<Py<PyAny>>>,
}

/// The stream's end of a channel. Its drop gives up what is left.
pub(super) struct Consumer<T> {
    channel: Arc<Channel<T>>,
    has_ended: bool,
    /// The error that the task raised.
    error: Option<PyErr>,
}

/// The coroutine's end of a channel.
pub(super) trait Producer: Send + Sync {
    fn is_wanted(&self) -> bool;
    fn deliver(&self, items: &Bound<'_, PyList>) -> PyResult<()>;
    fn ask(&self, room: Py<PyAny>);
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

impl<T: Send + 'static> Channel<T> {
    pub(super) fn open(
        mailbox: Mailbox,
        capacity: usize,
        convert: ConvertItem<T>,
        made_at: &'static Location<'static>,
    ) -> (Consumer<T>, Arc<dyn Producer>) {
        let channel = Arc::new(Self {
            mailbox,
            made_at,
            spans: Spans::of_caller(),
            items: Bounded::new(capacity),
            convert: Mutex::new(Some(convert)),
            asked: Mutex::new(None),
        });
        let consumer = Consumer {
            channel: Arc::clone(&channel),
            has_ended: false,
            error: None,
        };
        (consumer, channel)
    }

    /// Has the loop grant room. Called on any thread, attached or not.
    fn post_grant(self: &Arc<Self>) {
        let channel = Arc::clone(self);
        self.mailbox.post(Box::new(move |py| channel.grant(py)));
    }

    /// Grants room to a coroutine that waits for it, if there is enough.
    fn grant(&self, py: Python<'_>) -> PyResult<()> {
        let granted = {
            let mut asked = lock(&self.asked);
            let room = asked.as_ref().and_then(|_| self.items.request());
            asked.take_if(|_| room.is_some()).zip(room)
        };
        match granted {
            Some((future, room)) => asyncio::settle(future.bind(py), room),
            None => Ok(()),
        }
    }

    /// Converts items, up to the first that fails.
    fn convert(
        &self,
        items: &Bound<'_, PyList>,
        convert: &mut ConvertItem<T>,
    ) -> Vec<PyResult<UserValue<T>>> {
        let _spans = self.spans.enter();
        let mut converted = Vec::with_capacity(items.len());
        // A conversion that runs the loop may bring more items.
        while converted.len() < items.len() && !converted.last().is_some_and(Result::is_err) {
            let result = items.get_item(converted.len());
            let result = result.and_then(|item| {
                catch(|| convert(item)).unwrap_or_else(|panic| Err(rust_panic(items.py(), panic)))
            });
            converted.push(result.map(UserValue::of_any_runtime));
        }
        converted
    }
}

impl<T> Channel<T> {
    /// Reports the errors, and drops the items.
    fn report(&self, results: impl IntoIterator<Item = PyResult<UserValue<T>>>) {
        for error in results.into_iter().filter_map(Result::err) {
            report(&self.mailbox, error, self.made_at);
        }
    }
}

impl<T: Send + 'static> Consumer<T> {
    /// Gives the next item, or what the task has ended with.
    pub(super) fn poll(
        &mut self,
        task: &mut PyTask,
        cx: &mut Context<'_>,
    ) -> Poll<Option<PyResult<T>>> {
        let channel = &self.channel;
        if channel.mailbox.is_inherited() {
            return Poll::Ready(Some(Err(loop_in_parent())));
        }
        loop {
            if let Poll::Ready(Taken { item, calls }) = channel.items.poll(cx.waker()) {
                if calls {
                    channel.post_grant();
                }
                return Poll::Ready(Some(item.map(UserValue::into_inner)));
            }
            if self.has_ended {
                return Poll::Ready(self.error.take().map(Err));
            }
            self.error = ready!(Pin::new(&mut *task).poll(cx)).err();
            self.has_ended = true;
        }
    }

    /// Takes no more items.
    pub(super) fn stop(&self, wanted: Wanted) {
        let (left, calls) = self.channel.items.stop(wanted);
        if calls {
            self.channel.post_grant();
        }
        self.channel.report(left);
    }

    /// The result of the task, if it has ended.
    pub(super) fn end(&mut self) -> Option<PyResult<()>> {
        self.has_ended
            .then(|| self.error.take().map_or(Ok(()), Err))
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        if self.channel.mailbox.is_inherited() {
            return;
        }
        // The task is cancelled, so a coroutine that waits for room needs no answer.
        let (left, _) = self.channel.items.stop(Wanted::Nothing);
        self.channel.report(left);
        self.channel.report(self.error.take().map(Err));
    }
}

impl<T: Send + 'static> Producer for Channel<T> {
    fn is_wanted(&self) -> bool {
        !self.mailbox.is_inherited() && self.items.wanted() != Wanted::Nothing
    }

    fn deliver(&self, items: &Bound<'_, PyList>) -> PyResult<()> {
        if self.mailbox.is_inherited() {
            // The stream is in the parent.
            return Ok(());
        }
        let Some(mut convert) = lock(&self.convert).take() else {
            // A conversion runs the loop. The call that converts delivers these items too.
            return Ok(());
        };
        if self.items.wanted() == Wanted::Items {
            let converted = self.convert(items, &mut convert);
            let has_failed = converted.last().is_some_and(Result::is_err);
            let unwanted = self.items.push(converted);
            if !unwanted.is_empty() {
                items.py().detach(|| self.report(unwanted));
            }
            if has_failed {
                self.items.end();
            }
        }
        *lock(&self.convert) = Some(convert);
        items.del_slice(0, items.len())?;
        self.grant(items.py())
    }

    fn ask(&self, room: Py<PyAny>) {
        let previous = lock(&self.asked).replace(room);
        drop(previous);
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*lock(&self.asked))
    }
}

/// The object that the coroutine of [`asyncio::iterate`] delivers to.
#[pyclass(frozen, module = "pyo3_asyncio")]
pub(super) struct Sink {
    pub(super) channel: Arc<dyn Producer>,
    pub(super) iterator: Py<PyAny>,
    pub(super) cleans_up: CleansUp,
}

#[pymethods]
impl Sink {
    fn __aiter__(&self, py: Python<'_>) -> Py<PyAny> {
        self.iterator.clone_ref(py)
    }

    fn is_wanted(&self) -> bool {
        self.channel.is_wanted()
    }

    fn deliver(&self, items: &Bound<'_, PyList>) -> PyResult<()> {
        self.channel.deliver(items)
    }

    fn ask(&self, room: Py<PyAny>) {
        self.channel.ask(room);
    }

    /// Delivers the last items. From now on, the stream does not cancel the task.
    fn clean_up(&self, items: &Bound<'_, PyList>) -> PyResult<()> {
        self.cleans_up.store(true, Ordering::Relaxed);
        self.deliver(items)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.iterator)?;
        self.channel.traverse(&visit)
    }
}

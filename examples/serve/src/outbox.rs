//! A channel to the client, bounded by bytes.
//!
//! Each item takes room in the channel, until the client's end takes the item out. A coroutine waits for the room.

use std::sync::Arc;

use pyo3::create_exception;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3_asyncio::ready;
use pyo3_asyncio::tokio::into_coroutine;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that fit in the channel. A larger item has it for itself.
const ROOM: usize = 64 * 1024;

create_exception!(
    serve,
    ClientDisconnected,
    PyOSError,
    "The client is gone: nobody gets what is sent."
);

pub(crate) fn gone() -> PyErr {
    ClientDisconnected::new_err("the client is gone: nobody gets what is sent")
}

/// An item, and the room that it takes.
type Held<T> = (T, Option<OwnedSemaphorePermit>);

/// The application's end of the channel.
pub(crate) struct Outbox<T> {
    items: UnboundedSender<Held<T>>,
    room: Arc<Semaphore>,
}

/// The client's end. Its drop tells those who wait for room.
pub(crate) struct Inbox<T> {
    items: UnboundedReceiver<Held<T>>,
    room: Arc<Semaphore>,
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        self.room.close();
    }
}

pub(crate) fn outbox<T>() -> (Outbox<T>, Inbox<T>) {
    let (sender, items) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(ROOM));
    let outbox = Outbox {
        items: sender,
        room: Arc::clone(&room),
    };
    (outbox, Inbox { items, room })
}

impl<T: Send + 'static> Outbox<T> {
    /// Sends an item that takes no room. It is lost if the client is gone.
    pub(crate) fn push(&self, item: T) {
        let _ = self.items.send((item, None));
    }

    /// Sends an item that holds so many bytes. Gives a coroutine, which waits for room if there is none.
    pub(crate) fn send<'py>(
        &self,
        py: Python<'py>,
        item: T,
        bytes: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = (bytes + size_of::<T>()).min(ROOM) as u32;
        let (items, room) = (self.items.clone(), Arc::clone(&self.room));
        let put = move |item, taken| items.send((item, Some(taken))).map_err(|_| gone());
        if let Ok(taken) = Arc::clone(&room).try_acquire_many_owned(bytes) {
            put(item, taken)?;
            return ready(py, ());
        }
        into_coroutine(py, async move {
            let taken = room.acquire_many_owned(bytes).await.map_err(|_| gone())?;
            put(item, taken)
        })
    }
}

impl<T> Inbox<T> {
    /// The next item. `None` once the application has dropped its end.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.items.recv().await.map(|(item, _)| item)
    }

    /// The next item if there is one already.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        self.items.try_recv().ok().map(|(item, _)| item)
    }
}

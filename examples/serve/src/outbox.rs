//! A channel to the client, bounded by bytes.
//!
//! Sending never waits: the item is in the channel when the call returns. The coroutine that [`Outbox::send`] returns waits while too
//! much is on its way to the client.

use pyo3::create_exception;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3_asyncio::ready;
use pyo3_asyncio::tokio::into_coroutine;
use tokio::sync::{mpsc, watch};

/// `send` waits while the client has not taken this many bytes.
const HIGH_WATER: usize = 64 * 1024;

create_exception!(
    serve,
    ClientDisconnected,
    PyOSError,
    "The client is gone: nobody gets what is sent."
);

pub(crate) fn gone() -> PyErr {
    ClientDisconnected::new_err("the client is gone: nobody gets what is sent")
}

/// The application's end of the channel.
pub(crate) struct Outbox<T> {
    items: mpsc::UnboundedSender<(T, usize)>,
    waiting: watch::Sender<usize>,
}

/// The client's end.
pub(crate) struct Inbox<T> {
    items: mpsc::UnboundedReceiver<(T, usize)>,
    waiting: watch::Sender<usize>,
}

pub(crate) fn outbox<T>() -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = watch::Sender::new(0);
    let inbox = Inbox {
        items: receiver,
        waiting: waiting.clone(),
    };
    let outbox = Outbox {
        items: sender,
        waiting,
    };
    (outbox, inbox)
}

impl<T: Send + 'static> Outbox<T> {
    /// Sends an item that holds so many bytes. An error if the client is gone.
    pub(crate) fn push(&self, item: T, bytes: usize) -> PyResult<()> {
        let bytes = bytes + size_of::<T>();
        // Nobody waits for more.
        self.waiting.send_if_modified(|waiting| {
            *waiting += bytes;
            false
        });
        self.items.send((item, bytes)).map_err(|_| gone())
    }

    /// Sends an item, and gives a coroutine that waits for room.
    pub(crate) fn send<'py>(
        &self,
        py: Python<'py>,
        item: T,
        bytes: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.push(item, bytes)?;
        if *self.waiting.borrow() < HIGH_WATER {
            return ready(py, ());
        }
        let mut waiting = self.waiting.subscribe();
        let items = self.items.clone();
        into_coroutine(py, async move {
            tokio::select! {
                _ = waiting.wait_for(|waiting| *waiting < HIGH_WATER) => Ok(()),
                () = items.closed() => Err(gone()),
            }
        })
    }
}

impl<T> Inbox<T> {
    /// The next item. `None` once the application has dropped its end.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        let (item, bytes) = self.items.recv().await?;
        Some(self.take(item, bytes))
    }

    /// The next item if there is one already.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        let (item, bytes) = self.items.try_recv().ok()?;
        Some(self.take(item, bytes))
    }

    fn take(&self, item: T, bytes: usize) -> T {
        self.waiting.send_if_modified(|waiting| {
            let was_full = *waiting >= HIGH_WATER;
            *waiting -= bytes;
            was_full && *waiting < HIGH_WATER
        });
        item
    }
}

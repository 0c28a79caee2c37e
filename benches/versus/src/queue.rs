//! A channel of tokio between two Python tasks.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Both ends of a bounded channel.
#[pyclass(frozen)]
pub(crate) struct Queue {
    sender: Sender<u64>,
    receiver: Arc<Mutex<Receiver<u64>>>,
}

#[pymethods]
impl Queue {
    #[new]
    fn new(capacity: usize) -> Self {
        let (sender, receiver) = channel(capacity);
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
        }
    }

    fn send<'py>(&self, py: Python<'py>, item: u64) -> PyResult<Bound<'py, PyAny>> {
        let sender = self.sender.clone();
        future_into_py(
            py,
            async move { sender.send(item).await.map_err(|_| closed()) },
        )
    }

    fn recv<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let receiver = Arc::clone(&self.receiver);
        future_into_py(py, async move {
            receiver.lock().await.recv().await.ok_or_else(closed)
        })
    }
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the channel is closed")
}

//! The start and the end of the application.

use std::sync::{Arc, Mutex};

use pyo3::{
    create_exception,
    exceptions::{PyException, PyRuntimeError},
    intern,
    prelude::*,
    types::PyDict,
};
use pyo3_asyncio::{PyTask, tokio::run_coroutine};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use crate::{
    lock,
    message::{Event, Fields},
    scope::asgi,
};

create_exception!(
    serve,
    LifespanFailed,
    PyException,
    "The application says that it has failed to start up or to shut down."
);

/// The application's task for its own start and end.
#[pyclass(frozen, module = "serve")]
pub(crate) struct Lifespan {
    events: mpsc::UnboundedSender<Event>,
    received: AsyncMutex<mpsc::UnboundedReceiver<Event>>,
    progress: watch::Sender<Progress>,
    /// `None` while somebody waits for the task, and where there is none.
    task: Mutex<Option<PyTask>>,
}

/// How far the application is.
#[derive(Clone, PartialEq, Eq)]
enum Progress {
    Starting,
    Started,
    ShutDown,
    Failed(String),
}

impl Lifespan {
    /// Waits until the application has got so far. An error if it fails or ends before.
    async fn wait_for(&self, mut task: PyTask, wanted: Progress) -> PyResult<()> {
        let mut progress = self.progress.subscribe();
        let told = progress.wait_for(|now| *now == wanted || matches!(now, Progress::Failed(_)));
        let told = tokio::select! {
            biased;
            told = told => told.map(|progress| progress.clone()),
            ended = &mut task => {
                ended?;
                return Err(PyRuntimeError::new_err(
                    "the application has returned from its lifespan before it said that it was complete",
                ));
            }
        };
        if let Ok(Progress::Failed(message)) = told {
            // The application may still want to clean up.
            task.detach();
            return Err(LifespanFailed::new_err(message));
        }
        *lock(&self.task) = Some(task);
        Ok(())
    }
}

#[pyo3_asyncio::tokio::pymethods]
impl Lifespan {
    #[new]
    fn new() -> Self {
        let (events, received) = mpsc::unbounded_channel();
        Self {
            events,
            received: AsyncMutex::new(received),
            progress: watch::Sender::new(Progress::Starting),
            task: Mutex::new(None),
        }
    }

    /// Starts the application, and waits until it is complete.
    async fn startup(slf: Py<Self>, app: Py<PyAny>, state: Py<PyDict>) -> PyResult<()> {
        let lifespan = Arc::new(slf);
        let called = Arc::clone(&lifespan);
        let task = run_coroutine(move |py| {
            let scope = PyDict::new(py);
            scope.set_item("type", "lifespan")?;
            scope.set_item("asgi", asgi(py)?)?;
            scope.set_item("state", state)?;
            let lifespan = called.bind(py);
            let receive = lifespan.getattr("receive")?;
            app.bind(py)
                .call1((scope, receive, lifespan.getattr("send")?))
        });
        let lifespan = lifespan.get();
        // The receiver is in the same object.
        let _ = lifespan.events.send(Event("lifespan.startup", Vec::new()));
        lifespan.wait_for(task, Progress::Started).await
    }

    /// Tells the application to end, and waits until it is complete.
    async fn shutdown(&self) -> PyResult<()> {
        let task = lock(&self.task).take();
        let Some(task) = task else {
            return Ok(());
        };
        let _ = self.events.send(Event("lifespan.shutdown", Vec::new()));
        self.wait_for(task, Progress::ShutDown).await
    }

    async fn receive(&self) -> PyResult<Event> {
        let event = self.received.lock().await.recv().await;
        event.ok_or_else(|| PyRuntimeError::new_err("the lifespan is over"))
    }

    #[pyo3(eager_start)]
    async fn send(&self, message: Sent) -> PyResult<()> {
        let Sent(progress) = message;
        let expected = match (&*self.progress.borrow(), &progress) {
            (Progress::Starting, Progress::ShutDown) => Some("'lifespan.startup.complete'"),
            (Progress::Started, Progress::Started) => Some("'lifespan.shutdown.complete'"),
            (Progress::ShutDown | Progress::Failed(_), _) => Some("no ASGI message any more"),
            _ => None,
        };
        if let Some(expected) = expected {
            return Err(PyRuntimeError::new_err(format!(
                "Expected {expected} at this point of the lifespan."
            )));
        }
        self.progress.send_replace(progress);
        Ok(())
    }
}

/// A message of the application.
struct Sent(Progress);

impl<'py> FromPyObject<'_, 'py> for Sent {
    type Error = PyErr;

    fn extract(message: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = message.py();
        let message = message.to_owned();
        let fields = Fields::new(&message)?;
        Ok(Self(match fields.kind()? {
            "lifespan.startup.complete" => Progress::Started,
            "lifespan.shutdown.complete" => Progress::ShutDown,
            "lifespan.startup.failed" | "lifespan.shutdown.failed" => {
                let text = fields.text(intern!(py, "message"))?;
                Progress::Failed(text.unwrap_or_default())
            }
            other => {
                return Err(PyRuntimeError::new_err(format!(
                    "Expected a message of the ASGI lifespan, such as 'lifespan.startup.complete', but got '{other}'."
                )));
            }
        }))
    }
}

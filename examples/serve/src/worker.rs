//! The life of a server.
//!
//! 1. It accepts connections while it runs, and each connection is a task of tokio's.
//! 2. `stop` ends that: connections end with their request, and the server waits for them and for the application's tasks.
//! 3. After the timeout, or with a second `stop`, it drops the connections, and Python cancels the tasks.

use std::{
    future::pending,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use pyo3::{prelude::*, types::PyDict};
use pyo3_asyncio::TaskLocals;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::Connection,
    listen::{Accepting, Listener, tls},
};

/// How long a cancelled task may take to clean up.
const CLEAN_UP: Duration = Duration::from_secs(1);

/// What Python sets.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    pub(crate) root_path: String,
    http1_only: bool,
    graceful_timeout: Option<f64>,
    pub(crate) limit_concurrency: Option<usize>,
    limit_connections: Option<u32>,
    max_header_size: usize,
    max_header_count: usize,
    header_timeout: f64,
    keep_alive_timeout: f64,
    pub(crate) ws_max_size: usize,
    pub(crate) ws_ping_interval: Option<f64>,
    pub(crate) ws_ping_timeout: Option<f64>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

impl Options {
    /// How long a connection waits for the head of a request.
    pub(crate) fn patience(&self, is_first: bool) -> Duration {
        let seconds = match is_first {
            true => self.header_timeout,
            false => self.keep_alive_timeout,
        };
        Duration::from_secs_f64(seconds)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Running,
    Stopping,
    Aborted,
}

/// What all connections share.
pub(crate) struct Worker {
    /// Starts a task of the application for a scope and an exchange.
    start: Py<PyAny>,
    pub(crate) state: Py<PyDict>,
    pub(crate) options: Options,
    pub(crate) http: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    locals: TaskLocals,
    stage: watch::Sender<Stage>,
    connections: Arc<Semaphore>,
    permits: u32,
    /// How many tasks of the application have not ended.
    tasks: AtomicUsize,
    task_ended: Notify,
}

impl Worker {
    pub(crate) fn is_busy(&self) -> bool {
        let limit = self.options.limit_concurrency;
        limit.is_some_and(|limit| self.tasks.load(Ordering::Relaxed) >= limit)
    }

    /// Starts a task of the application. `exchange` makes the scope, and the object that has `receive` and `send` and ends the task.
    pub(crate) fn start<F>(self: &Arc<Self>, exchange: F)
    where
        F: for<'py> FnOnce(
                Python<'py>,
                Ending,
            ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyAny>)>
            + Send
            + 'static,
    {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        let ending = Ending(Arc::clone(self));
        // The task says itself how it ended, and Python keeps it. A `PyTask` would be told by a callback, in a turn of its own.
        let started = self.locals.call_soon(move |py| {
            let worker = Arc::clone(&ending.0);
            worker.start.call1(py, exchange(py, ending)?).map(drop)
        });
        started.detach();
    }

    async fn ended(&self) {
        loop {
            let ended = self.task_ended.notified();
            if self.tasks.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Waits for a stage of the server's end.
    pub(crate) async fn at_least(&self, stage: Stage) {
        let mut now = self.stage.subscribe();
        // No error comes: the sender is in `self`.
        let _ = now.wait_for(|now| *now >= stage).await;
    }

    async fn accept(self: &Arc<Self>, accepting: &Accepting) {
        loop {
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            let Ok((stream, endpoints)) = accepting.accept(self.tls.is_some()).await else {
                // The client is gone already, or the process has no descriptor left: then it waits for one.
                drop(permit);
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let connection = Connection::new(Arc::clone(self), endpoints, permit);
            tokio::spawn(connection.serve(self.tls.clone(), stream));
        }
    }

    /// Waits for the connections and the tasks. `false` if they did not end in time.
    async fn wind_up(&self) -> bool {
        let ends = async {
            // All are back once every connection is closed.
            let closed = self.connections.acquire_many(self.permits).await;
            drop(closed);
            self.ended().await;
        };
        let time_is_up = async {
            match self.options.graceful_timeout {
                Some(seconds) => sleep(Duration::from_secs_f64(seconds)).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = ends => true,
            () = time_is_up => false,
            () = self.at_least(Stage::Aborted) => false,
        }
    }
}

/// Dropped when a task of the application is about to end.
pub(crate) struct Ending(Arc<Worker>);

impl Drop for Ending {
    fn drop(&mut self) {
        if self.0.tasks.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.task_ended.notify_waiters();
        }
    }
}

/// A server of one process.
#[pyclass(frozen, module = "serve")]
pub(crate) struct Server(Arc<Worker>);

#[pyo3_asyncio::tokio::pymethods]
impl Server {
    /// `start(scope, exchange)` makes a task that awaits the application. Made while the loop runs.
    #[new]
    fn new(
        py: Python<'_>,
        start: Py<PyAny>,
        state: Py<PyDict>,
        options: Options,
    ) -> PyResult<Self> {
        let tls = match (&options.tls_cert, &options.tls_key) {
            (Some(certificates), Some(key)) => Some(tls(certificates, key, !options.http1_only)?),
            _ => None,
        };
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().max_buf_size(options.max_header_size);
        // Hyper's own limit is the same, and costs less.
        if options.max_header_count != 100 {
            http.http1().max_headers(options.max_header_count);
        }
        http.http2()
            .max_header_list_size(options.max_header_size.try_into().unwrap_or(u32::MAX));
        if options.http1_only {
            http = http.http1_only();
        }
        let permits = options.limit_connections.unwrap_or(u32::MAX >> 4);
        Ok(Self(Arc::new(Worker {
            start,
            state,
            http,
            tls,
            locals: TaskLocals::with_running_loop(py)?,
            stage: watch::Sender::new(Stage::Running),
            connections: Arc::new(Semaphore::new(permits as usize)),
            permits,
            tasks: AtomicUsize::new(0),
            task_ended: Notify::new(),
            options,
        })))
    }

    /// Serves until it is stopped. Returns whether all requests ended in time.
    async fn serve(&self, listener: Py<Listener>) -> PyResult<bool> {
        let worker = Arc::clone(&self.0);
        let accepting = Accepting::new(listener.get())?;
        tokio::select! {
            () = worker.accept(&accepting) => {}
            () = worker.at_least(Stage::Stopping) => {}
        }
        drop(accepting);
        let has_ended = worker.wind_up().await;
        worker.stage.send_replace(Stage::Aborted);
        Ok(has_ended)
    }

    /// Waits until the tasks of the application have cleaned up, for a limited time.
    async fn cleaned_up(&self) {
        // The loop cancels again what has not ended by then.
        let _ = timeout(CLEAN_UP, self.0.ended()).await;
    }

    /// Stops accepting, and ends what is idle. The second call does not wait for the rest.
    fn stop(&self) -> bool {
        let next = match *self.0.stage.borrow() {
            Stage::Running => Stage::Stopping,
            _ => Stage::Aborted,
        };
        self.0.stage.send_replace(next);
        next == Stage::Stopping
    }

    /// How many tasks of the application have not ended.
    #[getter]
    fn tasks(&self) -> usize {
        self.0.tasks.load(Ordering::Relaxed)
    }
}

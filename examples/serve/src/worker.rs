//! The life of a server.
//!
//! 1. It accepts connections while it runs, and each connection is a task of tokio's.
//! 2. `stop` cancels `stopping`: connections end with their request, and the server waits for them and for the application's tasks.
//! 3. After the timeout, or with a second `stop`, `aborted` drops the connections, and Python cancels the tasks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use pyo3_asyncio::TaskLocals;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::Connection;
use crate::listen::{Accepting, Listener, tls};

/// How long a client of HTTP/2 may say nothing before it gets a ping.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What Python sets.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    pub(crate) root_path: String,
    http1_only: bool,
    graceful_timeout: Option<Duration>,
    pub(crate) limit_concurrency: usize,
    limit_connections: usize,
    max_header_size: u32,
    max_header_count: Option<usize>,
    pub(crate) header_timeout: Duration,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) ws_max_size: usize,
    pub(crate) ws_ping_interval: Duration,
    pub(crate) ws_ping_timeout: Duration,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

/// What all connections share.
pub(crate) struct Worker {
    /// Starts a task of the application for a scope and an exchange.
    pub(crate) start: Py<PyAny>,
    /// What all scopes have in common: those of requests, and those of WebSockets.
    pub(crate) scopes: [Py<PyDict>; 2],
    pub(crate) state: Py<PyDict>,
    pub(crate) options: Options,
    pub(crate) http: auto::Builder<TokioExecutor>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) locals: TaskLocals,
    /// The tasks of tokio's that serve connections.
    pub(crate) connections: TaskTracker,
    /// The tasks of the application.
    pub(crate) requests: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) aborted: CancellationToken,
}

impl Worker {
    async fn accept(self: &Arc<Self>, accepting: Accepting) {
        let permits = Arc::new(Semaphore::new(self.options.limit_connections));
        while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
            match accepting.accept().await {
                Ok((stream, client)) => {
                    let connection = Connection {
                        worker: Arc::clone(self),
                        client,
                        client_object: PyOnceLock::new(),
                        activity: Mutex::default(),
                        _permit: permit,
                    };
                    self.connections.spawn(Arc::new(connection).serve(stream));
                }
                // The client is gone already, or the process has no descriptor left: then it waits for one.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
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
        scopes: [Py<PyDict>; 2],
        state: Py<PyDict>,
        options: Options,
    ) -> PyResult<Self> {
        let tls = match (&options.tls_cert, &options.tls_key) {
            (Some(certificate), Some(key)) => Some(tls(certificate, key, !options.http1_only)?),
            _ => None,
        };
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().max_buf_size(options.max_header_size as usize);
        // Without it, hyper has room for a hundred on its stack.
        if let Some(count) = options.max_header_count {
            http.http1().max_headers(count);
        }
        // A client that does not answer a ping is gone.
        http.http2()
            .max_header_list_size(options.max_header_size)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL);
        if options.http1_only {
            http = http.http1_only();
        }
        Ok(Self(Arc::new(Worker {
            start,
            scopes,
            state,
            http,
            tls,
            locals: TaskLocals::with_running_loop(py)?,
            connections: TaskTracker::new(),
            requests: TaskTracker::new(),
            stopping: CancellationToken::new(),
            aborted: CancellationToken::new(),
            options,
        })))
    }

    /// Serves until it is stopped. Returns whether all requests ended in time.
    async fn serve(&self, listener: Py<Listener>) -> PyResult<bool> {
        let worker = &self.0;
        let accepting = worker.accept(Accepting::new(listener.get())?);
        worker.stopping.run_until_cancelled(accepting).await;
        let limit = worker.options.graceful_timeout.unwrap_or(Duration::MAX);
        let ended = timeout(limit, async {
            worker.connections.close();
            worker.connections.wait().await;
            worker.requests.close();
            worker.requests.wait().await;
        });
        let ended = worker.aborted.run_until_cancelled(ended).await;
        worker.aborted.cancel();
        Ok(matches!(ended, Some(Ok(()))))
    }

    /// Stops accepting, and ends what is idle. The second call does not wait for the rest.
    fn stop(&self) -> bool {
        if self.0.stopping.is_cancelled() {
            self.0.aborted.cancel();
            return false;
        }
        self.0.stopping.cancel();
        true
    }

    /// How many tasks of the application have not ended.
    #[getter]
    fn tasks(&self) -> usize {
        self.0.requests.len()
    }
}

//! One connection: what it may do, and for how long it may do nothing.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};

use crate::http::{self, BoxError, plain};
use crate::listen::{Address, Stream};
use crate::scope::scope;
use crate::worker::Worker;
use crate::{lock, websocket};

pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    pub(crate) client: Option<Address>,
    /// The same for Python, from the first request on.
    pub(crate) client_object: PyOnceLock<Py<PyAny>>,
    pub(crate) activity: Mutex<Activity>,
    /// One of those that the server has for connections.
    pub(crate) _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
pub(crate) struct Activity {
    /// Requests whose response is not out.
    requests: usize,
    /// When the last response was out.
    last: Option<Instant>,
}

impl Connection {
    /// Serves until the client has what it asked for and is silent, or the server stops.
    pub(crate) async fn serve(self: Arc<Self>, stream: Stream) {
        let worker = Arc::clone(&self.worker);
        let stream: Stream = match &worker.tls {
            None => stream,
            Some(tls) => match timeout(worker.options.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => Box::new(stream),
                // A client that does not speak TLS is not served.
                _ => return,
            },
        };
        let service = service_fn(|request| Arc::clone(&self).respond(request));
        let io = TokioIo::new(stream);
        let mut serving = pin!(worker.http.serve_connection_with_upgrades(io, service));
        tokio::select! {
            biased;
            // An error is the client's, which is gone.
            _ = serving.as_mut() => return,
            () = worker.stopping.cancelled() => {}
            () = self.idle() => {}
        }
        let Activity { requests, last } = *lock(&self.activity);
        if requests > 0 || last.is_some() {
            // Hyper still sends the responses.
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                _ = serving => {}
                () = worker.aborted.cancelled() => {}
            }
        }
    }

    /// Waits until no request has come for too long.
    async fn idle(&self) {
        let options = &self.worker.options;
        let accepted = Instant::now();
        loop {
            let soon = Instant::now() + options.keep_alive_timeout;
            let deadline = match *lock(&self.activity) {
                Activity { requests: 1.., .. } => soon,
                Activity { last: None, .. } => accepted + options.header_timeout,
                Activity {
                    last: Some(last), ..
                } => last + options.keep_alive_timeout,
            };
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline.min(soon)).await;
        }
    }

    async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<impl Body<Data = Bytes, Error = BoxError>>, Infallible> {
        let busy = Busy::new(&self);
        let limit = self.worker.options.limit_concurrency;
        let response = if self.worker.requests.len() >= limit {
            plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        } else if websocket::is_handshake(&request) {
            websocket::respond(&self, request).await
        } else {
            http::respond(&self, request).await
        };
        // Hyper drops the body, and `busy` with it, when the response is out.
        Ok(response.map(|body| {
            body.inspect_frame(move |_| {
                let _ = &busy;
            })
        }))
    }

    /// Calls the application for a request. `exchange` has its `receive` and `send`.
    pub(crate) fn start<E>(self: &Arc<Self>, request: Parts, is_websocket: bool, exchange: E)
    where
        E: PyClass + Into<PyClassInitializer<E>> + Send + 'static,
    {
        let connection = Arc::clone(self);
        // The task says itself how it ended, and Python keeps it. A `PyTask` would be told by a callback, in a turn of its own.
        let started = self.worker.locals.call_soon(move |py| {
            let scope = scope(py, &connection, &request, is_websocket)?;
            let exchange = Bound::new(py, exchange)?;
            let start = &connection.worker.start;
            start.call1(py, (scope, exchange)).map(drop)
        });
        started.detach();
    }
}

/// Counts a request until its response is out.
struct Busy(Arc<Connection>);

impl Busy {
    fn new(connection: &Arc<Connection>) -> Self {
        lock(&connection.activity).requests += 1;
        Self(Arc::clone(connection))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = lock(&self.0.activity);
        activity.requests -= 1;
        activity.last = Some(Instant::now());
    }
}

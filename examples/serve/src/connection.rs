//! One connection.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{
    Method, Request, Response, StatusCode, Version, body::Incoming, http::request::Parts,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use pyo3::prelude::*;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    http::{Cut, Exchange, HttpExchange, ResponseBody, plain},
    listen::Stream,
    lock,
    scope::{Endpoints, Protocol},
    websocket,
    worker::{Ending, Stage, Worker},
};

/// A connection that was told to end has this long for it.
const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoints: Endpoints,
    /// Requests whose response is not out.
    requests: AtomicUsize,
    /// Until when the next request has to come.
    deadline: Mutex<Instant>,
    /// One of those that the server has for connections.
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    pub(crate) fn new(
        worker: Arc<Worker>,
        endpoints: Endpoints,
        permit: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        let deadline = Instant::now() + worker.options.patience(true);
        Arc::new(Self {
            worker,
            endpoints,
            requests: AtomicUsize::new(0),
            deadline: Mutex::new(deadline),
            _permit: permit,
        })
    }

    pub(crate) async fn serve(self: Arc<Self>, tls: Option<TlsAcceptor>, stream: Stream) {
        let patience = self.worker.options.patience(true);
        let stream: Stream = match tls {
            None => stream,
            Some(tls) => match timeout(patience, tls.accept(stream)).await {
                Ok(Ok(stream)) => Box::new(stream),
                // A client that does not speak TLS is not served.
                _ => return,
            },
        };
        let service = service_fn(|request| Arc::clone(&self).respond(request));
        let http = self.worker.http.clone();
        let mut serving = pin!(http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut stopping = pin!(self.worker.at_least(Stage::Stopping));
        let mut aborted = pin!(self.worker.at_least(Stage::Aborted));
        let idle = self.worker.options.patience(false);
        let first_look = *lock(&self.deadline);
        let mut timer = pin!(sleep_until(first_look.min(Instant::now() + idle)));
        let mut is_ending = false;
        loop {
            tokio::select! {
                biased;
                // An error is the client's, which is gone.
                _ = serving.as_mut() => return,
                () = stopping.as_mut(), if !is_ending => {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = aborted.as_mut() => return,
                () = timer.as_mut() => {
                    let now = Instant::now();
                    let deadline = *lock(&self.deadline);
                    if self.requests.load(Ordering::Relaxed) > 0 {
                        timer.as_mut().reset(now + idle);
                    } else if deadline > now {
                        timer.as_mut().reset(deadline);
                    } else if is_ending {
                        return;
                    } else {
                        is_ending = true;
                        serving.as_mut().graceful_shutdown();
                        timer.as_mut().reset(now + FAREWELL);
                    }
                }
            }
        }
    }

    async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<CountedBody>, Cut> {
        let busy = Busy::new(&self);
        let is_http2 = request.version() == Version::HTTP_2;
        let is_head = request.method() == Method::HEAD;
        let response = if self.worker.is_busy() {
            plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        } else if websocket::is_handshake(&request) {
            websocket::respond(&self, request).await?
        } else {
            self.exchange(request).await?
        };
        let is_bare = is_head
            || matches!(
                response.status(),
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        Ok(response.map(|body| CountedBody {
            body,
            is_unsent: is_http2 && is_bare,
            _busy: busy,
        }))
    }

    async fn exchange(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Cut> {
        let (parts, body) = request.into_parts();
        let exchange = Exchange::new(&parts.method, body);
        let answer = exchange.answer();
        self.start(
            Protocol::Http,
            parts,
            Arc::clone(&exchange),
            |py, ending| Ok(Bound::new(py, HttpExchange::new(exchange, ending))?.into_any()),
        );
        answer.await
    }

    /// Starts the application's task for a request. `object` makes what has `receive` and `send`.
    pub(crate) fn start<F>(
        self: &Arc<Self>,
        protocol: Protocol,
        request: Parts,
        exchange: Arc<Exchange>,
        object: F,
    ) where
        F: for<'py> FnOnce(Python<'py>, Ending) -> PyResult<Bound<'py, PyAny>> + Send + 'static,
    {
        let connection = Arc::clone(self);
        self.worker.start(move |py, ending| {
            let Connection {
                worker, endpoints, ..
            } = &*connection;
            let state = worker.state.bind(py);
            let scope = endpoints.scope(py, protocol, &worker.options.root_path, state, &request);
            let made = scope.and_then(|scope| Ok((scope, object(py, ending)?)));
            made.inspect_err(|_| {
                let _missing = exchange.end(true);
            })
        });
    }
}

/// Counts a request until its response is out.
struct Busy(Arc<Connection>);

impl Busy {
    fn new(connection: &Arc<Connection>) -> Self {
        connection.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connection))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *lock(&self.0.deadline) = Instant::now() + self.0.worker.options.patience(false);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that belongs to a request of the connection.
struct CountedBody {
    body: ResponseBody,
    /// In HTTP/2, hyper sends every body that is there.
    is_unsent: bool,
    _busy: Busy,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_unsent || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

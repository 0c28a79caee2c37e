//! One HTTP request and its response.
//!
//! 1. Python has an [`HttpExchange`]. Its `receive` reads the body of the request from hyper, and its `send` fills a [`Responder`].
//! 2. The first message of the body sends the response through a oneshot channel to [`respond`], which hyper polls. What follows goes
//!    through an [`Outbox`].
//! 3. Hyper drops its ends of both when the client is gone. That cancels `over`, which `receive` waits for. So does the end of the
//!    response.

use std::error::Error;
use std::mem;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3_asyncio::ready;
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::connection::Connection;
use crate::lock;
use crate::message::{Event, Message};
use crate::outbox::{Inbox, Outbox, gone, outbox};

/// The body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Starts the application for a request, and gives its response.
pub(crate) async fn respond(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (request, body) = request.into_parts();
    let unstarted = "ASGI callable returned without starting response.";
    let (responder, response) = Responder::new(connection, &request.method, unstarted);
    let exchange = HttpExchange {
        body: AsyncMutex::new(Some(body)),
        responder,
    };
    connection.start(request, false, exchange);
    response.await
}

/// The `receive` and `send` of a request.
#[pyclass(frozen, module = "serve")]
pub(crate) struct HttpExchange {
    /// `None` once all of it is received, or nobody needs it.
    body: AsyncMutex<Option<Incoming>>,
    responder: Responder,
}

#[pyo3_asyncio::tokio::pymethods]
impl HttpExchange {
    #[pyo3(eager_start)]
    async fn receive(&self) -> Event {
        let over = &self.responder.over;
        let mut body = self.body.lock().await;
        while let Some(incoming) = &mut *body {
            let Some(frame) = over.run_until_cancelled(incoming.frame()).await else {
                break;
            };
            let (chunk, more_body) = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => (chunk, !incoming.is_end_stream()),
                // Trailers are no part of ASGI's messages.
                Some(Ok(Err(_))) => continue,
                None => (Bytes::new(), false),
                Some(Err(_)) => {
                    self.responder.give_up();
                    break;
                }
            };
            if !more_body {
                *body = None;
            }
            return Event::Request {
                r#type: "http.request",
                body: chunk,
                more_body,
            };
        }
        *body = None;
        drop(body);
        over.cancelled().await;
        Event::Plain {
            r#type: "http.disconnect",
        }
    }

    fn send<'py>(&self, message: Message<'py>) -> PyResult<Bound<'py, PyAny>> {
        let sent = self.responder.send(&message, message.kind()?)?;
        if matches!(lock(&self.responder.state).phase, Phase::Complete) {
            self.drop_body();
        }
        Ok(sent)
    }

    /// The application's task has ended. Returns what the response lacks, and its status.
    fn end(&self, _has_failed: bool) -> (Option<&'static str>, Option<u16>) {
        let ended = self.responder.end();
        self.drop_body();
        ended
    }
}

impl HttpExchange {
    /// Drops the body of the request, which nobody needs any more, so that hyper goes on. A `receive` that waits does so itself.
    fn drop_body(&self) {
        if let Ok(mut body) = self.body.try_lock() {
            *body = None;
        }
    }
}

/// The application's side of a response.
pub(crate) struct Responder {
    state: Mutex<State>,
    /// Cancelled when the response is complete or the client is gone.
    over: CancellationToken,
    is_head: bool,
    /// What is said of an application that returns at once.
    unstarted: &'static str,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Where the response goes. If this is dropped, the response is a 500.
    channel: Option<oneshot::Sender<Response<Body>>>,
    status: Option<StatusCode>,
    /// What goes out with the first message of the body.
    start: Option<Response<()>>,
    /// What `Content-Length` leaves for the rest of the body.
    length: Option<usize>,
    /// Where chunks of the body go, and whether more follow. `None` if hyper sends no body.
    outbox: Option<Outbox<(Bytes, bool)>>,
    /// Counts the application's task.
    running: Option<TaskTrackerToken>,
}

#[derive(Default)]
enum Phase {
    #[default]
    Unstarted,
    Started,
    Streaming,
    Complete,
}

impl Responder {
    /// Also gives what waits for the response.
    pub(crate) fn new(
        connection: &Connection,
        method: &Method,
        unstarted: &'static str,
    ) -> (Self, impl Future<Output = Response<Body>> + use<>) {
        let (channel, response) = oneshot::channel();
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let state = State {
            channel: Some(channel),
            running: Some(connection.worker.requests.token()),
            ..State::default()
        };
        let responder = Self {
            state: Mutex::new(state),
            over,
            is_head: method == Method::HEAD,
            unstarted,
        };
        let response = async move {
            let response = response.await;
            guard.disarm();
            response.unwrap_or_else(|_| failed())
        };
        (responder, response)
    }

    /// Puts a message about the response to work. Gives the coroutine that `send` returns.
    pub(crate) fn send<'py>(
        &self,
        message: &Message<'py>,
        kind: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        match kind {
            "http.response.start" => self.start(message),
            "http.response.body" => self.send_body(message),
            _ => Err(lock(&self.state).misplaced(message)),
        }
    }

    fn start<'py>(&self, message: &Message<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (status, headers) = (message.status()?, message.headers()?);
        let length = match self.is_bare(status) {
            true => None,
            false => content_length(&headers)?,
        };
        let mut state = lock(&self.state);
        if !matches!(state.phase, Phase::Unstarted) {
            return Err(state.misplaced(message));
        }
        let channel = state.channel.as_ref();
        if channel.is_none_or(oneshot::Sender::is_closed) {
            return Err(gone());
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        state.start = Some(response);
        state.length = length;
        state.phase = Phase::Started;
        ready(message.py(), ())
    }

    fn send_body<'py>(&self, message: &Message<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = message.py();
        let mut chunk = message.bytes(intern!(py, "body"))?.unwrap_or_default();
        let more_body = message.flag(intern!(py, "more_body"))?;
        let mut state = lock(&self.state);
        if !matches!(state.phase, Phase::Started | Phase::Streaming) {
            return Err(state.misplaced(message));
        }
        state.count(chunk.len(), more_body)?;
        if let Some(start) = state.start.take() {
            let body = match more_body {
                _ if self.is_bare(start.status()) => whole(Bytes::new()),
                false => whole(mem::take(&mut chunk)),
                true => {
                    let (outbox, inbox) = outbox();
                    state.outbox = Some(outbox);
                    streamed(inbox, self.over.clone().drop_guard())
                }
            };
            state.respond(start.map(|()| body))?;
            state.phase = Phase::Streaming;
        }
        let bytes = chunk.len();
        let sent = match &state.outbox {
            Some(outbox) => outbox.send(py, (chunk, more_body), bytes),
            None => ready(py, ()),
        };
        if !more_body {
            state.phase = Phase::Complete;
            drop(state);
            self.over.cancel();
        }
        sent
    }

    /// Sends a response of the server's own.
    pub(crate) fn respond(&self, response: Response<Body>) -> PyResult<()> {
        let mut state = lock(&self.state);
        state.respond(response)?;
        state.phase = Phase::Complete;
        drop(state);
        self.over.cancel();
        Ok(())
    }

    /// The rest of the request is malformed, or does not come. The application is told that the client is gone.
    fn give_up(&self) {
        let refused = plain(StatusCode::BAD_REQUEST, "Bad Request");
        // Too late if there was a response.
        let _ = lock(&self.state).respond(refused);
        self.over.cancel();
    }

    /// The application's task has ended. Returns what the response lacks, and its status.
    ///
    /// If something lacks, the client gets a 500, or is cut off.
    pub(crate) fn end(&self) -> (Option<&'static str>, Option<u16>) {
        let mut state = lock(&self.state);
        let missing = match state.phase {
            _ if self.over.is_cancelled() => None,
            Phase::Unstarted => Some(self.unstarted),
            _ => Some("ASGI callable returned without completing response."),
        };
        if missing.is_some() {
            // Too late if there was a response. It is cut off by dropping the outbox.
            let _ = state.respond(failed());
        }
        state.outbox = None;
        state.running = None;
        let status = state.status.map(|status| status.as_u16());
        drop(state);
        self.over.cancel();
        (missing, status)
    }

    /// Whether hyper sends no body.
    fn is_bare(&self, status: StatusCode) -> bool {
        self.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

impl State {
    /// An error if there was a response already, or the client is gone.
    fn respond(&mut self, response: Response<Body>) -> PyResult<()> {
        let channel = self.channel.take().ok_or_else(gone)?;
        self.status = Some(response.status());
        channel.send(response).map_err(|_| gone())
    }

    /// The error of a message that comes too early or too late.
    fn misplaced(&self, message: &Message<'_>) -> PyErr {
        message.misplaced(match self.phase {
            Phase::Unstarted => "'http.response.start'",
            Phase::Started | Phase::Streaming => "'http.response.body'",
            Phase::Complete => "none after the response",
        })
    }

    /// An error if a part of the body is not what `Content-Length` has announced.
    fn count(&mut self, bytes: usize, more_body: bool) -> PyResult<()> {
        let left = self.length.map(|length| length.checked_sub(bytes));
        let wrong = match left {
            Some(None) => "longer",
            Some(Some(1..)) if !more_body => "shorter",
            _ => {
                self.length = left.flatten();
                return Ok(());
            }
        };
        let error = format!("Response content {wrong} than Content-Length");
        Err(PyRuntimeError::new_err(error))
    }
}

fn content_length(headers: &HeaderMap) -> PyResult<Option<usize>> {
    let length = headers.get(header::CONTENT_LENGTH).map(|value| {
        let length = value.to_str().ok().and_then(|text| text.parse().ok());
        length.ok_or_else(|| PyRuntimeError::new_err("content-length is no number of bytes"))
    });
    length.transpose()
}

pub(crate) fn whole(body: Bytes) -> Body {
    Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that comes in several messages. Dropping `guard` says that hyper has dropped the body.
fn streamed(inbox: Inbox<(Bytes, bool)>, guard: DropGuard) -> Body {
    let chunks = stream::unfold(Some((inbox, guard)), |rest| async {
        let (mut inbox, guard) = rest?;
        let Some((chunk, more_body)) = inbox.recv().await else {
            // The application has failed. Meanwhile hyper flushes what came before, and then it cuts the connection.
            yield_now().await;
            return Some((
                Err("the application did not complete the response".into()),
                None,
            ));
        };
        Some((Ok(Frame::data(chunk)), more_body.then_some((inbox, guard))))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// A response of the server's own.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CONNECTION, "close")
        .body(whole(text.into()));
    response.expect("the headers are valid")
}

fn failed() -> Response<Body> {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

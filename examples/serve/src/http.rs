//! One HTTP request and its response.
//!
//! 1. Python has an [`HttpExchange`]. Its `receive` reads the body of the request from hyper, and its `send` fills a [`Responder`].
//! 2. The first message of the body sends the response through a oneshot channel to [`respond`], which hyper polls. What follows goes
//!    through an [`Outbox`].
//! 3. Hyper drops its ends of both when the client is gone. That cancels `over`, which `receive` waits for. So does the end of the
//!    response.

use std::{
    error::Error,
    mem,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body as _, Frame, Incoming},
    header,
};
use pyo3::{exceptions::PyRuntimeError, intern, prelude::*};
use pyo3_asyncio::ready;
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    task::yield_now,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::task_tracker::TaskTrackerToken,
};

use crate::{
    connection::Connection,
    lock,
    message::Message,
    outbox::{Inbox, Outbox, gone, outbox},
};

/// The body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Starts the application for a request, and gives its response.
pub(crate) async fn respond(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (request, body) = request.into_parts();
    let (responder, response) = Responder::new(connection, &request.method);
    let exchange = HttpExchange {
        body: AsyncMutex::new(Some(body)),
        responder,
    };
    connection.start(request, false, exchange);
    response.await
}

/// A message for the application.
#[derive(IntoPyObject)]
pub(crate) enum Event {
    Request {
        #[pyo3(item("type"))]
        kind: &'static str,
        body: Bytes,
        more_body: bool,
    },
    Disconnect {
        #[pyo3(item("type"))]
        kind: &'static str,
    },
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
                    self.responder.refuse();
                    break;
                }
            };
            if !more_body {
                *body = None;
            }
            return Event::Request {
                kind: "http.request",
                body: chunk,
                more_body,
            };
        }
        *body = None;
        drop(body);
        over.cancelled().await;
        Event::Disconnect {
            kind: "http.disconnect",
        }
    }

    fn send<'py>(&self, message: Message<'py>) -> PyResult<Bound<'py, PyAny>> {
        let part = Part::new(&message, message.kind()?)?;
        let is_last = matches!(part, Part::Body(_, false));
        let sent = self.responder.send(&message, part)?;
        if is_last {
            self.drop_body();
        }
        Ok(sent)
    }

    /// The application's task has ended. Returns what the response lacks, if the task has not failed.
    fn end(&self, has_failed: bool) -> Option<&'static str> {
        let missing = self.responder.end();
        self.drop_body();
        missing.filter(|_| !has_failed)
    }

    /// The status of the response. None if there is none.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.responder.status()
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

/// What a message says about a response.
pub(crate) enum Part {
    Start(StatusCode, HeaderMap),
    Body(Bytes, bool),
    Other,
}

impl Part {
    pub(crate) fn new(message: &Message<'_>, kind: &str) -> PyResult<Self> {
        let py = message.py();
        Ok(match kind {
            "http.response.start" => Self::Start(message.status()?, message.headers()?),
            "http.response.body" => Self::Body(
                message.bytes(intern!(py, "body"))?.unwrap_or_default(),
                message.flag(intern!(py, "more_body"))?,
            ),
            _ => Self::Other,
        })
    }
}

/// The application's side of a response.
pub(crate) struct Responder {
    state: Mutex<State>,
    /// Cancelled when the response is complete or the client is gone.
    over: CancellationToken,
    is_head: bool,
}

struct State {
    phase: Phase,
    /// Where the response goes. If this is dropped, the response is a 500.
    response: Option<oneshot::Sender<Response<Body>>>,
    status: Option<StatusCode>,
    /// What `Content-Length` leaves for the rest of the body.
    length: Option<usize>,
    /// Counts the application's task.
    running: Option<TaskTrackerToken>,
}

enum Phase {
    Unstarted,
    /// The start goes out with the first message of the body.
    Started(StatusCode, HeaderMap),
    /// `None` if hyper sends no body.
    Streaming(Option<Outbox<(Bytes, bool)>>),
    Complete,
}

impl Responder {
    /// Also gives what waits for the response.
    pub(crate) fn new(
        connection: &Connection,
        method: &Method,
    ) -> (Self, impl Future<Output = Response<Body>> + use<>) {
        let (sender, response) = oneshot::channel();
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let state = State {
            phase: Phase::Unstarted,
            response: Some(sender),
            status: None,
            length: None,
            running: Some(connection.worker.requests.token()),
        };
        let responder = Self {
            state: Mutex::new(state),
            over,
            is_head: method == Method::HEAD,
        };
        let response = async move {
            let response = response.await;
            guard.disarm();
            response.unwrap_or_else(|_| failed())
        };
        (responder, response)
    }

    pub(crate) fn status(&self) -> Option<u16> {
        lock(&self.state).status.map(|status| status.as_u16())
    }

    /// Puts a part of the response to work. Gives the coroutine that `send` returns.
    pub(crate) fn send<'py>(
        &self,
        message: &Message<'py>,
        part: Part,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = message.py();
        let mut state = lock(&self.state);
        if state.is_gone() {
            return Err(gone());
        }
        let (mut chunk, more_body) = match (&state.phase, part) {
            (Phase::Unstarted, Part::Start(status, headers)) => {
                if !self.is_bare(status) {
                    state.length = content_length(&headers)?;
                }
                state.phase = Phase::Started(status, headers);
                return ready(py, ());
            }
            (Phase::Started(..) | Phase::Streaming(_), Part::Body(chunk, more_body)) => {
                state.count(chunk.len(), more_body)?;
                (chunk, more_body)
            }
            (Phase::Unstarted, _) => return Err(message.misplaced("'http.response.start'")),
            (Phase::Complete, _) => return Err(message.misplaced("none after the response")),
            _ => return Err(message.misplaced("'http.response.body'")),
        };
        if let Phase::Started(status, headers) = &mut state.phase {
            let (status, headers) = (*status, mem::take(headers));
            let (outbox, body) = match more_body {
                _ if self.is_bare(status) => (None, whole(Bytes::new())),
                false => (None, whole(mem::take(&mut chunk))),
                true => {
                    let (outbox, inbox) = outbox();
                    (
                        Some(outbox),
                        streamed(inbox, self.over.clone().drop_guard()),
                    )
                }
            };
            let mut response = Response::new(body);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            state.respond(response);
            state.phase = Phase::Streaming(outbox);
        }
        let sent = match &state.phase {
            Phase::Streaming(Some(outbox)) => {
                let bytes = chunk.len();
                outbox.send(py, (chunk, more_body), bytes)
            }
            _ => ready(py, ()),
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
        if state.is_gone() {
            return Err(gone());
        }
        state.respond(response);
        state.phase = Phase::Complete;
        drop(state);
        self.over.cancel();
        Ok(())
    }

    /// The rest of the request is malformed, or does not come. The application is told that the client is gone.
    fn refuse(&self) {
        lock(&self.state).respond(plain(StatusCode::BAD_REQUEST, "Bad Request"));
        self.over.cancel();
    }

    /// The application's task has ended. Returns what the response lacks. A client that has not got all of it gets a 500, or is cut off.
    pub(crate) fn end(&self) -> Option<&'static str> {
        let mut state = lock(&self.state);
        let missing = match state.phase {
            _ if self.over.is_cancelled() => None,
            Phase::Unstarted => Some("ASGI callable returned without starting response."),
            _ => Some("ASGI callable returned without completing response."),
        };
        if missing.is_some() {
            state.respond(failed());
        }
        state.phase = Phase::Complete;
        state.running = None;
        drop(state);
        self.over.cancel();
        missing
    }

    /// Whether hyper sends no body.
    fn is_bare(&self, status: StatusCode) -> bool {
        self.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

impl State {
    /// Whether nobody waits for the start any more. Later, the [`Outbox`] knows.
    fn is_gone(&self) -> bool {
        let response = self.response.as_ref();
        matches!(self.phase, Phase::Unstarted | Phase::Started(..))
            && response.is_none_or(oneshot::Sender::is_closed)
    }

    /// Does nothing if there was a response already.
    fn respond(&mut self, response: Response<Body>) {
        if let Some(channel) = self.response.take() {
            self.status = Some(response.status());
            // If the client is gone, `over` says so.
            let _ = channel.send(response);
        }
    }

    /// An error if a part of the body is not what `Content-Length` has announced.
    fn count(&mut self, bytes: usize, more_body: bool) -> PyResult<()> {
        if let Some(length) = self.length {
            let left = length.checked_sub(bytes);
            let wrong = match left {
                None => "longer",
                Some(1..) if !more_body => "shorter",
                _ => {
                    self.length = left;
                    return Ok(());
                }
            };
            let error = format!("Response content {wrong} than Content-Length");
            return Err(PyRuntimeError::new_err(error));
        }
        Ok(())
    }
}

fn content_length(headers: &HeaderMap) -> PyResult<Option<usize>> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| {
        PyRuntimeError::new_err(format!(
            "content-length is a number of bytes, not {value:?}"
        ))
    })
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

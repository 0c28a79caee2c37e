//! One HTTP request and its response.
//!
//! Hyper and the application share an [`Exchange`]. The application fills it by `send`, and hyper empties it. The service future takes
//! the response as soon as the first body message has come. A [`ResponseBody`] takes the chunks that follow. Wakers are called after
//! the lock is released.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{self, Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method, Response, StatusCode, body::Incoming, header};
use pyo3::{
    create_exception,
    exceptions::{PyOSError, PyRuntimeError},
    intern,
    prelude::*,
};
use pyo3_asyncio::{ready, tokio::into_coroutine};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::{
    lock,
    message::{Event, Fields, Value, misplaced},
    worker::Ending,
};

/// `send` waits while the client has not taken this many bytes.
const HIGH_WATER: usize = 64 * 1024;

create_exception!(
    serve,
    ClientDisconnected,
    PyOSError,
    "The client is gone: nobody gets what is sent."
);

/// What hyper's side and the application's share.
pub(crate) struct Exchange {
    request_body: AsyncMutex<Option<Incoming>>,
    state: Mutex<State>,
    /// Notified when there is nothing to receive any more.
    over: Notify,
    /// The body of the response is not sent.
    is_head: bool,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// What the service future takes.
    response: Option<Response<ResponseBody>>,
    chunks: VecDeque<Bytes>,
    buffered: usize,
    status: Option<StatusCode>,
    /// What `Content-Length` leaves for the body.
    expected: Option<u64>,
    /// Hyper drops the body of the response, and the client is still there.
    has_no_body: bool,
    is_over: bool,
    has_flushed: bool,
    /// Hyper's task, and the application's while it waits in `send`.
    taker: Option<Waker>,
    sender: Option<Waker>,
}

#[derive(Default)]
enum Phase {
    #[default]
    Unstarted,
    /// The start is here, and goes out with the first body message.
    Started(HeaderMap),
    Streaming,
    Complete,
    /// The application has failed, and the connection is cut.
    Cut,
    /// The client is gone.
    Left,
}

/// A message of the application.
pub(crate) enum Outgoing {
    Start(StatusCode, HeaderMap),
    Body { body: Bytes, more_body: bool },
    Other(String),
}

impl Outgoing {
    /// The only or last part of a body.
    pub(crate) fn last(body: Bytes) -> Self {
        Self::Body {
            body,
            more_body: false,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Outgoing {
    type Error = PyErr;

    fn extract(message: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = message.py();
        let message = message.to_owned();
        let fields = Fields::new(&message)?;
        Ok(match fields.kind()? {
            "http.response.start" => Self::Start(fields.status()?, fields.headers()?),
            "http.response.body" => Self::Body {
                body: fields.bytes(intern!(py, "body"))?.unwrap_or_default(),
                more_body: fields.flag(intern!(py, "more_body"))?,
            },
            other => Self::Other(other.to_owned()),
        })
    }
}

fn disconnect() -> Event {
    Event("http.disconnect", Vec::new())
}

impl Exchange {
    pub(crate) fn new(method: &Method, body: Incoming) -> Arc<Self> {
        Arc::new(Self {
            request_body: AsyncMutex::new(Some(body)),
            state: Mutex::default(),
            over: Notify::new(),
            is_head: method == Method::HEAD,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The response, once the application has sent a start and a body message.
    pub(crate) fn answer(self: &Arc<Self>) -> Answer {
        Answer(Some(Arc::clone(self)))
    }

    fn poll_response(&self, cx: &mut Context<'_>) -> Poll<Result<Response<ResponseBody>, Cut>> {
        let mut state = self.state();
        if let Some(response) = state.response.take() {
            return Poll::Ready(Ok(response));
        }
        if matches!(state.phase, Phase::Cut | Phase::Left) {
            return Poll::Ready(Err(Cut));
        }
        remember(&mut state.taker, cx);
        Poll::Pending
    }

    /// The client is gone, unless the response is complete.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        let response = match state.phase {
            Phase::Complete | Phase::Cut | Phase::Left => None,
            _ => state.response.take(),
        };
        if !matches!(state.phase, Phase::Complete | Phase::Cut) {
            state.phase = Phase::Left;
        }
        state.is_over = true;
        state.buffered = 0;
        let chunks = mem::take(&mut state.chunks);
        let (sender, taker) = (state.sender.take(), state.taker.take());
        drop(state);
        drop((response, chunks));
        wake(sender);
        // Hyper has told of the client's end only where the body of the request was read.
        wake(taker);
        self.over.notify_waiters();
    }

    /// The rest of the request is malformed, or does not come. The application is told that the client is gone.
    fn refuse(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Unstarted | Phase::Started(_)) {
            state.response = Some(plain(StatusCode::BAD_REQUEST, "Bad Request"));
            state.status = Some(StatusCode::BAD_REQUEST);
            state.phase = Phase::Left;
        }
        drop(state);
        self.leave();
    }

    /// The client becomes the other side of a WebSocket.
    pub(crate) fn switch_protocols(&self, headers: HeaderMap) -> PyResult<()> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Left) {
            return Err(gone());
        }
        let mut response = Response::new(ResponseBody::Whole(Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        state.status = Some(response.status());
        state.response = Some(response);
        state.phase = Phase::Complete;
        let taker = state.taker.take();
        drop(state);
        wake(taker);
        Ok(())
    }

    /// Wakes a `receive` that waits. Drops the request's body, which nobody reads any more, so that hyper can go on.
    fn tell_of_end(&self) {
        let body = self.request_body.try_lock().ok();
        drop(body.and_then(|mut body| body.take()));
        self.over.notify_waiters();
    }

    async fn over(&self) {
        let over = self.over.notified();
        if !self.state().is_over {
            over.await;
        }
    }

    async fn next_chunk(&self) -> Event {
        let mut body = self.request_body.lock().await;
        while let Some(incoming) = &mut *body {
            let (chunk, more_body) = match incoming.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => (chunk, !incoming.is_end_stream()),
                    // Trailers are no part of ASGI's messages.
                    Err(_) => continue,
                },
                None => (Bytes::new(), false),
                Some(Err(_)) => {
                    self.refuse();
                    break;
                }
            };
            if !more_body {
                *body = None;
            }
            let fields = vec![
                ("body", Value::Bytes(chunk)),
                ("more_body", Value::Flag(more_body)),
            ];
            return Event("http.request", fields);
        }
        drop(body);
        self.over().await;
        disconnect()
    }

    /// Returns whether there is room for more.
    pub(crate) fn push(self: &Arc<Self>, message: Outgoing) -> PyResult<bool> {
        let mut state = self.state();
        match (&mut state.phase, message) {
            (Phase::Left, _) => return Err(gone()),
            (Phase::Unstarted, Outgoing::Start(status, headers)) => {
                state.has_no_body = self.is_head
                    || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
                state.expected = match state.has_no_body {
                    true => None,
                    false => content_length(&headers)?,
                };
                state.status = Some(status);
                state.phase = Phase::Started(headers);
                return Ok(true);
            }
            (Phase::Started(headers), Outgoing::Body { body, more_body }) => {
                let headers = mem::take(headers);
                if let Err(error) = state.add(body, more_body) {
                    state.phase = Phase::Started(headers);
                    return Err(error);
                }
                let body = if more_body {
                    state.phase = Phase::Streaming;
                    ResponseBody::Chunks(Arc::clone(self))
                } else {
                    state.complete();
                    state.buffered = 0;
                    ResponseBody::Whole(state.chunks.pop_front().unwrap_or_default())
                };
                let mut response = Response::new(body);
                *response.status_mut() = state.status.unwrap_or_default();
                *response.headers_mut() = headers;
                state.response = Some(response);
            }
            (Phase::Streaming, Outgoing::Body { body, more_body }) => {
                state.add(body, more_body)?;
                if !more_body {
                    state.complete();
                }
            }
            (phase, message) => return Err(unexpected(phase, &message)),
        }
        let (is_over, has_room) = (state.is_over, state.buffered < HIGH_WATER);
        let taker = state.taker.take();
        drop(state);
        wake(taker);
        if is_over {
            self.tell_of_end();
        }
        Ok(has_room)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<PyResult<()>> {
        let mut state = self.state();
        match state.phase {
            Phase::Left => Poll::Ready(Err(gone())),
            _ if state.buffered < HIGH_WATER => Poll::Ready(Ok(())),
            _ => {
                remember(&mut state.sender, cx);
                Poll::Pending
            }
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.state().status.map(|status| status.as_u16())
    }

    /// The application has ended. What is missing in its response.
    pub(crate) fn end(&self, has_failed: bool) -> Option<&'static str> {
        let mut state = self.state();
        let missing = match state.phase {
            Phase::Complete | Phase::Left | Phase::Cut => return None,
            Phase::Unstarted => "ASGI callable returned without starting response.",
            _ => "ASGI callable returned without completing response.",
        };
        if matches!(state.phase, Phase::Unstarted | Phase::Started(_)) {
            state.response = Some(plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal Server Error",
            ));
            state.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
            state.phase = Phase::Complete;
        } else {
            state.phase = Phase::Cut;
        }
        state.is_over = true;
        let taker = state.taker.take();
        drop(state);
        wake(taker);
        self.tell_of_end();
        (!has_failed).then_some(missing)
    }
}

impl State {
    fn complete(&mut self) {
        self.phase = Phase::Complete;
        self.is_over = true;
    }

    /// Adds to the body, unless that is not what `Content-Length` has announced.
    fn add(&mut self, chunk: Bytes, more_body: bool) -> PyResult<()> {
        if let Some(expected) = &mut self.expected {
            let left = expected.checked_sub(chunk.len() as u64);
            let wrong = match left {
                None => "longer",
                Some(1..) if !more_body => "shorter",
                _ => "",
            };
            if !wrong.is_empty() {
                let error = format!("Response content {wrong} than Content-Length");
                return Err(PyRuntimeError::new_err(error));
            }
            *expected = left.unwrap_or_default();
        }
        // Hyper uses no more than the length of one that is whole.
        if !(chunk.is_empty() || self.has_no_body && more_body) {
            self.buffered += chunk.len();
            self.chunks.push_back(chunk);
        }
        Ok(())
    }
}

fn content_length(headers: &HeaderMap) -> PyResult<Option<u64>> {
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

/// A response of the server's own.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CONNECTION, "close")
        .body(ResponseBody::Whole(Bytes::from_static(text.as_bytes())));
    response.expect("the headers are valid")
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

pub(crate) fn gone() -> PyErr {
    ClientDisconnected::new_err("the client is gone: nobody gets what is sent")
}

fn unexpected(phase: &Phase, message: &Outgoing) -> PyErr {
    let kind = match message {
        Outgoing::Start(..) => "http.response.start",
        Outgoing::Body { .. } => "http.response.body",
        Outgoing::Other(kind) => kind,
    };
    misplaced(
        kind,
        match phase {
            Phase::Unstarted => "'http.response.start'",
            Phase::Started(_) | Phase::Streaming => "'http.response.body'",
            Phase::Complete | Phase::Cut | Phase::Left => "none after the response",
        },
    )
}

/// The response to a request. Dropped before, the client is gone.
pub(crate) struct Answer(Option<Arc<Exchange>>);

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, Cut>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let exchange = self.0.as_ref().expect("it is not polled again");
        let response = task::ready!(exchange.poll_response(cx));
        self.0 = None;
        Poll::Ready(response)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(exchange) = &self.0 {
            exchange.leave();
        }
    }
}

/// The `receive` and `send` of a request.
#[pyclass(frozen, module = "serve")]
pub(crate) struct HttpExchange {
    exchange: Arc<Exchange>,
    ending: Mutex<Option<Ending>>,
}

impl HttpExchange {
    pub(crate) fn new(exchange: Arc<Exchange>, ending: Ending) -> Self {
        Self {
            exchange,
            ending: Mutex::new(Some(ending)),
        }
    }
}

#[pyo3_asyncio::tokio::pymethods]
impl HttpExchange {
    #[pyo3(eager_start)]
    async fn receive(&self) -> Event {
        if self.exchange.state().is_over {
            return disconnect();
        }
        tokio::select! {
            biased;
            message = self.exchange.next_chunk() => message,
            () = self.exchange.over() => disconnect(),
        }
    }

    /// Nearly always there is nothing to wait for, and no future is made.
    fn send<'py>(&self, py: Python<'py>, message: Outgoing) -> PyResult<Bound<'py, PyAny>> {
        if self.exchange.push(message)? {
            return ready(py, ());
        }
        let exchange = Arc::clone(&self.exchange);
        into_coroutine(py, poll_fn(move |cx| exchange.poll_room(cx)))
    }

    /// Ends the exchange. Returns what the response lacks, if the application has not raised.
    fn end(&self, has_failed: bool) -> Option<&'static str> {
        drop(lock(&self.ending).take());
        self.exchange.end(has_failed)
    }

    /// The status of the response. None if there is none.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.exchange.status()
    }
}

/// The connection is cut, because a response ends before it is complete.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the application did not complete the response")
    }
}

impl std::error::Error for Cut {}

/// The body of a response.
pub(crate) enum ResponseBody {
    Whole(Bytes),
    Chunks(Arc<Exchange>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let exchange = match &mut *self {
            Self::Whole(body) => {
                let body = mem::take(body);
                return Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))));
            }
            Self::Chunks(exchange) => exchange,
        };
        let mut state = exchange.state();
        if let Some(chunk) = state.chunks.pop_front() {
            state.buffered -= chunk.len();
            let sender = match state.buffered < HIGH_WATER {
                true => state.sender.take(),
                false => None,
            };
            drop(state);
            wake(sender);
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.phase {
            Phase::Complete => Poll::Ready(None),
            Phase::Left => Poll::Ready(Some(Err(Cut))),
            Phase::Cut if state.has_flushed => Poll::Ready(Some(Err(Cut))),
            Phase::Cut => {
                // Hyper flushes what came before, and asks again.
                state.has_flushed = true;
                drop(state);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => {
                remember(&mut state.taker, cx);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_empty(),
            Self::Chunks(exchange) => {
                let state = exchange.state();
                matches!(state.phase, Phase::Complete) && state.chunks.is_empty()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Chunks(_) => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Self::Chunks(exchange) = self {
            if !exchange.state().has_no_body {
                exchange.leave();
            }
        }
    }
}

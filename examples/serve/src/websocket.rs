//! One WebSocket.
//!
//! 1. Its handshake is an HTTP response: the application accepts it, or denies it by a response of its own.
//! 2. A task of tokio's, [`Client`], owns the connection. So pings are answered and a client that leaves is noticed while the
//!    application does something else.
//! 3. The task and the application's [`WebSocketExchange`] hold the ends of two bounded channels. Each side is told of the other's
//!    end by its channel.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3_asyncio::ready;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, Utf8Bytes};

use crate::connection::Connection;
use crate::http::{Body, Responder, plain, whole};
use crate::lock;
use crate::message::{Event, Message};
use crate::outbox::{Inbox, Outbox, outbox};

/// How many messages wait for the application before the client has to wait.
const QUEUED: usize = 16;
/// How long the client may take to answer a close.
const CLOSING: Duration = Duration::from_secs(5);
/// What stands for never.
const FAR: Duration = Duration::from_secs(86_400);
/// What a close without a code means, and an end without a close.
const NO_STATUS: CloseFrame = close_frame(CloseCode::Status, "");
static ABNORMAL: CloseFrame = close_frame(CloseCode::Abnormal, "");

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_handshake<B>(request: &Request<B>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Starts the application for a handshake, and gives the response.
pub(crate) async fn respond(
    connection: &Arc<Connection>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let handshake = match create_response_with_body(&request, || ()) {
        Ok(response) if request.body().is_end_stream() => response.into_parts().0.headers,
        Ok(_) => return refused("a WebSocket begins with a GET without a body".to_owned()),
        Err(error) => return refused(error.to_string()),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    let unstarted = "ASGI callable returned without completing the WebSocket handshake.";
    let (responder, response) = Responder::new(connection, &request.method, unstarted);
    let (to_app, events) = mpsc::channel(QUEUED);
    let (outbox, from_app) = outbox();
    let closed = Arc::default();
    let client = Client {
        connection: Arc::clone(connection),
        from_app,
        to_app,
        closed: Arc::clone(&closed),
    };
    let exchange = WebSocketExchange {
        phase: Mutex::new(Phase::Connecting),
        handshake,
        responder,
        outbox,
        events: AsyncMutex::new(events),
        closed,
    };
    connection.worker.connections.spawn(client.run(upgrade));
    connection.start(request, true, exchange);
    response.await
}

fn refused(reason: String) -> Response<Body> {
    let mut response = plain(StatusCode::BAD_REQUEST, reason);
    let headers = response.headers_mut();
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
    response
}

/// The `receive` and `send` of a WebSocket.
#[pyclass(frozen, module = "serve")]
pub(crate) struct WebSocketExchange {
    phase: Mutex<Phase>,
    /// What accepts the handshake.
    handshake: HeaderMap,
    responder: Responder,
    outbox: Outbox<Frame>,
    events: AsyncMutex<mpsc::Receiver<Event>>,
    /// How the connection was closed. Empty if it just broke off.
    closed: Arc<OnceLock<CloseFrame>>,
}

#[derive(Clone, Copy)]
enum Phase {
    Connecting,
    Denying,
    Open,
    Closed,
}

#[pyo3_asyncio::tokio::pymethods]
impl WebSocketExchange {
    #[pyo3(eager_start)]
    async fn receive(&self) -> Event {
        if let Some(event) = self.events.lock().await.recv().await {
            return event;
        }
        let frame = self.closed.get().unwrap_or(&ABNORMAL);
        Event::Close {
            r#type: "websocket.disconnect",
            code: frame.code.into(),
            reason: frame.reason.to_string(),
        }
    }

    fn send<'py>(&self, message: Message<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = message.py();
        let sent = Sent::new(&message)?;
        let mut phase = lock(&self.phase);
        match (*phase, sent) {
            (Phase::Connecting, Sent::Accept(mut headers)) => {
                // Those of the handshake replace what the application gives.
                headers.extend(self.handshake.clone());
                let mut response = Response::new(whole(Bytes::new()));
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                *response.headers_mut() = headers;
                self.responder.respond(response)?;
                *phase = Phase::Open;
                ready(py, ())
            }
            (Phase::Connecting, Sent::Frame(Frame::Close(_))) => {
                self.responder.respond(plain(StatusCode::FORBIDDEN, ""))?;
                *phase = Phase::Closed;
                ready(py, ())
            }
            (Phase::Connecting, Sent::Denial(kind @ "http.response.start"))
            | (Phase::Denying, Sent::Denial(kind @ "http.response.body")) => {
                let sent = self.responder.send(&message, kind)?;
                *phase = Phase::Denying;
                Ok(sent)
            }
            (Phase::Open, Sent::Frame(frame)) => {
                if frame.is_close() {
                    *phase = Phase::Closed;
                }
                let bytes = frame.len();
                self.outbox.send(py, frame, bytes)
            }
            (Phase::Connecting, _) => Err(message.misplaced(
                "'websocket.accept', 'websocket.close' or 'websocket.http.response.start'",
            )),
            (Phase::Denying, _) => Err(message.misplaced("'websocket.http.response.body'")),
            (Phase::Open, _) => Err(message.misplaced("'websocket.send' or 'websocket.close'")),
            (Phase::Closed, _) => Err(message.misplaced("none after the close or the response")),
        }
    }

    /// The application's task has ended. Returns what the handshake lacks, and the status of its answer.
    fn end(&self, has_failed: bool) -> (Option<&'static str>, Option<u16>) {
        let code = match has_failed {
            true => CloseCode::Error,
            false => CloseCode::Normal,
        };
        // A client that is gone does not get it, and one that was told to close ignores it.
        self.outbox.push(Frame::Close(Some(close_frame(code, ""))));
        *lock(&self.phase) = Phase::Closed;
        self.responder.end()
    }
}

/// What a message says.
enum Sent<'a> {
    Accept(HeaderMap),
    Frame(Frame),
    /// A message about a response, by its kind in HTTP.
    Denial(&'a str),
}

impl<'a> Sent<'a> {
    fn new(message: &'a Message<'_>) -> PyResult<Self> {
        let py = message.py();
        let kind = message.kind()?;
        Ok(match kind {
            "websocket.accept" => {
                let mut headers = message.headers()?;
                if let Some(protocol) = message.text(intern!(py, "subprotocol"))? {
                    let protocol = HeaderValue::try_from(protocol)
                        .map_err(|error| PyValueError::new_err(error.to_string()))?;
                    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
                }
                Self::Accept(headers)
            }
            "websocket.send" => {
                let bytes = message.bytes(intern!(py, "bytes"))?;
                match (bytes, message.text(intern!(py, "text"))?) {
                    (Some(bytes), None) => Self::Frame(Frame::Binary(bytes)),
                    (None, Some(text)) => Self::Frame(Frame::text(text)),
                    _ => {
                        let error = "websocket.send has either 'bytes' or 'text'";
                        return Err(PyValueError::new_err(error));
                    }
                }
            }
            "websocket.close" => {
                let expected = "1000 to 4999, without 1005 and 1006";
                let code = message.get(intern!(py, "code"), expected, |value| {
                    let code = value.extract::<u16>().ok().map(CloseCode::from);
                    code.filter(|code| code.is_allowed())
                })?;
                let reason = message.text(intern!(py, "reason"))?.unwrap_or_default();
                if reason.len() > 123 {
                    return Err(PyValueError::new_err(format!(
                        "the reason of a close has up to 123 bytes, not {}: {reason:?}",
                        reason.len()
                    )));
                }
                let code = code.unwrap_or(CloseCode::Normal);
                let reason = reason.into();
                Self::Frame(Frame::Close(Some(CloseFrame { code, reason })))
            }
            _ => Self::Denial(kind.strip_prefix("websocket.").unwrap_or_default()),
        })
    }
}

const fn close_frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    let reason = Utf8Bytes::from_static(reason);
    CloseFrame { code, reason }
}

/// The client's side, which is a task of tokio's. Dropped, it tells the application.
struct Client {
    connection: Arc<Connection>,
    from_app: Inbox<Frame>,
    to_app: mpsc::Sender<Event>,
    closed: Arc<OnceLock<CloseFrame>>,
}

type Stream = WebSocketStream<TokioIo<Upgraded>>;

impl Client {
    async fn run(mut self, upgrade: OnUpgrade) {
        // There is room. If the application denies the handshake, there is no upgrade.
        let r#type = "websocket.connect";
        let _ = self.to_app.try_send(Event::Plain { r#type });
        let Ok(upgraded) = upgrade.await else {
            return;
        };
        let worker = Arc::clone(&self.connection.worker);
        let config = WebSocketConfig::default()
            // A thousand idle connections shall not take 128 MiB.
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(worker.options.ws_max_size))
            .max_frame_size(Some(worker.options.ws_max_size));
        let io = TokioIo::new(upgraded);
        let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let exchange = worker.aborted.run_until_cancelled(self.exchange(stream));
        // The application is told by the end of the channels.
        let _ = exchange.await;
    }

    /// Carries messages until the connection ends.
    async fn exchange(&mut self, mut stream: Stream) -> Result<(), Error> {
        let worker = &self.connection.worker;
        let options = &worker.options;
        let after = |patience: Duration| match patience.is_zero() {
            true => Instant::now() + FAR,
            false => Instant::now() + patience,
        };
        let mut is_closing = false;
        // Whether the client is gone at the deadline. Otherwise it gets a ping.
        let mut must_answer = false;
        let mut deadline = after(options.ws_ping_interval);
        loop {
            let read = async {
                // Not read before the application has taken what came before.
                let room = self.to_app.reserve().await;
                (room, stream.next().await)
            };
            let frame = tokio::select! {
                (room, frame) = read => {
                    match frame {
                        None => return Ok(()),
                        Some(Ok(Frame::Close(frame))) => {
                            // The answer goes out with the next read, which then ends.
                            let _ = self.closed.set(frame.unwrap_or(NO_STATUS));
                        }
                        Some(Ok(Frame::Pong(_))) if !is_closing => {
                            must_answer = false;
                            deadline = after(options.ws_ping_interval);
                        }
                        Some(Ok(frame)) => {
                            if let (Ok(room), Some(event)) = (room, received(frame)) {
                                room.send(event);
                            }
                        }
                        Some(Err(error)) => {
                            if let (Some(fault), false) = (fault(&error), is_closing) {
                                let _ = self.closed.set(fault.clone());
                                let _ = timeout(CLOSING, stream.close(Some(fault))).await;
                            }
                            return Err(error);
                        }
                    }
                    continue;
                }
                frame = self.from_app.recv(), if !is_closing => frame.unwrap_or(Frame::Close(None)),
                () = worker.stopping.cancelled(), if !is_closing => {
                    Frame::Close(Some(close_frame(CloseCode::Restart, "")))
                }
                () = sleep_until(deadline) => {
                    if must_answer {
                        return Ok(());
                    }
                    must_answer = true;
                    deadline = after(options.ws_ping_timeout);
                    Frame::Ping(Bytes::new())
                }
            };
            let mut next = Some(frame);
            while let Some(frame) = next {
                if frame.is_close() {
                    (is_closing, must_answer, deadline) = (true, true, after(CLOSING));
                }
                stream.feed(frame).await?;
                next = self.from_app.try_recv();
            }
            stream.flush().await?;
        }
    }
}

/// The event of a message. `None` if the frame is none.
fn received(frame: Frame) -> Option<Event> {
    let r#type = "websocket.receive";
    match frame {
        Frame::Text(text) => Some(Event::Text {
            r#type,
            text: text.to_string(),
        }),
        Frame::Binary(bytes) => Some(Event::Bytes { r#type, bytes }),
        _ => None,
    }
}

/// The close frame that answers an error of the client. `None` if it is gone.
fn fault(error: &Error) -> Option<CloseFrame> {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Capacity(_) => Some(close_frame(CloseCode::Size, "message too big")),
        Error::Protocol(_) => Some(close_frame(CloseCode::Protocol, "")),
        Error::Utf8(_) => Some(close_frame(CloseCode::Invalid, "")),
        _ => None,
    }
}

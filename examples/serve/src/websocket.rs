//! One WebSocket.
//!
//! 1. Its handshake is an HTTP response: the application accepts it, or denies it by a response of its own.
//! 2. A task of tokio's, [`Client`], owns the connection. So pings are answered and a client that leaves is noticed while the
//!    application does something else.
//! 3. The task and the application's [`WebSocketExchange`] hold the ends of two bounded channels. Each side is told of the other's
//!    end by its channel.

use std::{
    mem,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{self, HeaderValue},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use pyo3::{exceptions::PyValueError, intern, prelude::*};
use pyo3_asyncio::ready;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message as Frame, Utf8Bytes,
        error::ProtocolError,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    connection::Connection,
    http::{Body, Part, Responder, plain, whole},
    lock,
    message::Message,
    outbox::{Inbox, Outbox, outbox},
};

/// How many messages wait for the application before the client has to wait.
const QUEUED: usize = 16;
/// How long the client may take to answer a close.
const CLOSING: Duration = Duration::from_secs(5);
/// What a close without a frame of its own means.
const NO_STATUS: CloseFrame = CloseFrame {
    code: CloseCode::Status,
    reason: Utf8Bytes::from_static(""),
};

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
    let accepting = match create_response_with_body(&request, || whole(Bytes::new())) {
        Ok(response) if request.body().is_end_stream() => response,
        Ok(_) => return refused("a WebSocket begins with a GET without a body".to_owned()),
        Err(error) => return refused(error.to_string()),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    let (responder, response) = Responder::new(connection, &request.method);
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
        responder,
        phase: Mutex::new(Phase::Connecting(accepting, outbox)),
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

/// A message for the application.
#[derive(IntoPyObject)]
enum Event {
    Connect {
        #[pyo3(item("type"))]
        kind: &'static str,
    },
    Text {
        #[pyo3(item("type"))]
        kind: &'static str,
        text: String,
    },
    Binary {
        #[pyo3(item("type"))]
        kind: &'static str,
        bytes: Bytes,
    },
    Disconnect {
        #[pyo3(item("type"))]
        kind: &'static str,
        code: u16,
        reason: String,
    },
}

/// The `receive` and `send` of a WebSocket.
#[pyclass(frozen, module = "serve")]
pub(crate) struct WebSocketExchange {
    responder: Responder,
    phase: Mutex<Phase>,
    events: AsyncMutex<mpsc::Receiver<Event>>,
    /// How the connection was closed. Empty if it just broke off.
    closed: Arc<OnceLock<CloseFrame>>,
}

enum Phase {
    /// Accepting sends this response.
    Connecting(Response<Body>, Outbox<Frame>),
    Denying,
    Open(Outbox<Frame>),
    Closed,
}

/// What a message says.
enum Sent {
    Accept(HeaderMap),
    Frame(Frame),
    Close(CloseFrame),
    Denial(Part),
}

#[pyo3_asyncio::tokio::pymethods]
impl WebSocketExchange {
    #[pyo3(eager_start)]
    async fn receive(&self) -> Event {
        if let Some(event) = self.events.lock().await.recv().await {
            return event;
        }
        let frame = self.closed.get();
        Event::Disconnect {
            kind: "websocket.disconnect",
            // Without a close frame, it is an abnormal closure.
            code: frame.map_or(1006, |frame| frame.code.into()),
            reason: frame.map_or_else(String::new, |frame| frame.reason.to_string()),
        }
    }

    fn send<'py>(&self, message: Message<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = message.py();
        let sent = Sent::new(&message)?;
        let mut phase = lock(&self.phase);
        match (mem::replace(&mut *phase, Phase::Closed), sent) {
            (Phase::Connecting(mut response, outbox), Sent::Accept(headers)) => {
                // Those of the handshake replace what the application gives.
                let own = mem::replace(response.headers_mut(), headers);
                response.headers_mut().extend(own);
                self.responder.respond(response)?;
                *phase = Phase::Open(outbox);
            }
            (Phase::Connecting(..), Sent::Close(_)) => {
                self.responder.respond(plain(StatusCode::FORBIDDEN, ""))?;
            }
            (Phase::Connecting(..), Sent::Denial(part @ Part::Start(..)))
            | (Phase::Denying, Sent::Denial(part @ Part::Body(..))) => {
                *phase = Phase::Denying;
                return self.responder.send(&message, part);
            }
            (Phase::Open(outbox), Sent::Frame(frame)) => {
                let bytes = frame.len();
                let sent = outbox.send(py, frame, bytes);
                *phase = Phase::Open(outbox);
                return sent;
            }
            (Phase::Open(outbox), Sent::Close(frame)) => {
                outbox.push(Frame::Close(Some(frame)), 0)?;
            }
            (before, _) => {
                let expected = match before {
                    Phase::Connecting(..) => {
                        "'websocket.accept', 'websocket.close' or 'websocket.http.response.start'"
                    }
                    Phase::Denying => "'websocket.http.response.body'",
                    Phase::Open(_) => "'websocket.send' or 'websocket.close'",
                    Phase::Closed => "none after the close or the response",
                };
                *phase = before;
                return Err(message.misplaced(expected));
            }
        }
        ready(py, ())
    }

    /// The application's task has ended. Returns what the handshake lacks, if the task has not failed.
    fn end(&self, has_failed: bool) -> Option<&'static str> {
        let missing = self.responder.end();
        match mem::replace(&mut *lock(&self.phase), Phase::Closed) {
            Phase::Open(outbox) => {
                let code = if has_failed {
                    CloseCode::Error
                } else {
                    CloseCode::Normal
                };
                // A client that is gone needs none.
                let _ = outbox.push(Frame::Close(Some(close_frame(code, ""))), 0);
                None
            }
            Phase::Connecting(..) => missing
                .map(|_| "ASGI callable returned without completing the WebSocket handshake."),
            _ => missing,
        }
        .filter(|_| !has_failed)
    }

    /// The status of the answer to the handshake. None if there is none.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.responder.status()
    }
}

impl Sent {
    fn new(message: &Message<'_>) -> PyResult<Self> {
        let py = message.py();
        let kind = message.kind()?;
        Ok(match kind {
            "websocket.accept" => {
                let mut headers = message.headers()?;
                let name = intern!(py, "subprotocol");
                let protocol = message.get(name, "a str of visible characters", |value| {
                    HeaderValue::from_str(value.extract().ok()?).ok()
                })?;
                if let Some(protocol) = protocol {
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
                Self::Close(close_frame(code.unwrap_or(CloseCode::Normal), &reason))
            }
            _ => {
                let kind = kind.strip_prefix("websocket.").unwrap_or_default();
                Self::Denial(Part::new(message, kind)?)
            }
        })
    }
}

fn close_frame(code: CloseCode, reason: &str) -> CloseFrame {
    let reason = reason.into();
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
        let connect = Event::Connect {
            kind: "websocket.connect",
        };
        // There is room. If the application denies the handshake, there is no upgrade.
        let (Ok(()), Ok(upgraded)) = (self.to_app.try_send(connect), upgrade.await) else {
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
        let serving = worker.aborted.run_until_cancelled(self.serve(stream));
        if let Some(frame) = serving.await.flatten() {
            let _ = self.closed.set(frame);
        }
    }

    /// Carries messages until the connection ends. Returns how it was closed.
    async fn serve(&mut self, mut stream: Stream) -> Option<CloseFrame> {
        let mut closed = match self.exchange(&mut stream).await {
            Ok(closed) => closed,
            Err(error) => {
                let wrong = fault(&error)?;
                // The connection ends anyway.
                let _ = timeout(CLOSING, stream.close(Some(wrong.clone()))).await;
                return Some(wrong);
            }
        };
        // An answer to the client's close goes out with the next read. To a close of the server's, the client answers.
        let _ = timeout(CLOSING, async {
            while let Some(Ok(frame)) = stream.next().await {
                if let Frame::Close(frame) = frame {
                    closed = Some(frame.unwrap_or(NO_STATUS));
                }
            }
        })
        .await;
        closed
    }

    /// Carries messages until one side closes. Returns the client's close frame.
    async fn exchange(&mut self, stream: &mut Stream) -> Result<Option<CloseFrame>, Error> {
        let worker = &self.connection.worker;
        let (interval, limit) = (
            worker.options.ws_ping_interval,
            worker.options.ws_ping_timeout,
        );
        let after = |patience: Option<Duration>| Instant::now() + patience.unwrap_or_default();
        let mut waits_for_pong = false;
        let mut deadline = after(interval);
        loop {
            let read = async {
                // Not read before the application has taken what came before.
                let room = self.to_app.reserve().await;
                (room, stream.next().await)
            };
            tokio::select! {
                (room, frame) = read => {
                    let kind = "websocket.receive";
                    let event = match frame.transpose()? {
                        Some(Frame::Text(text)) => Event::Text { kind, text: text.to_string() },
                        Some(Frame::Binary(bytes)) => Event::Binary { kind, bytes },
                        Some(Frame::Pong(_)) => {
                            waits_for_pong = false;
                            deadline = after(interval);
                            continue;
                        }
                        Some(Frame::Close(frame)) => return Ok(Some(frame.unwrap_or(NO_STATUS))),
                        Some(_) => continue,
                        None => return Ok(None),
                    };
                    if let Ok(room) = room {
                        room.send(event);
                    }
                }
                frame = self.from_app.recv() => {
                    let Some(mut frame) = frame else {
                        return Ok(None);
                    };
                    loop {
                        stream.feed(frame).await?;
                        match self.from_app.try_recv() {
                            Some(next) => frame = next,
                            None => break,
                        }
                    }
                    stream.flush().await?;
                }
                () = worker.stopping.cancelled() => {
                    let restart = close_frame(CloseCode::Restart, "");
                    stream.close(Some(restart)).await?;
                    return Ok(None);
                }
                () = sleep_until(deadline), if interval.is_some() => {
                    if waits_for_pong {
                        return Err(Error::ConnectionClosed);
                    }
                    stream.send(Frame::Ping(Bytes::new())).await?;
                    waits_for_pong = limit.is_some();
                    deadline = after(limit.or(interval));
                }
            }
        }
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

//! One WebSocket.
//!
//! A task of tokio's owns the connection, and two bounded channels lead to the application. So pings are answered and a client that
//! leaves is noticed while the application does something else. The handshake is an HTTP [`Exchange`]: the application accepts it, or
//! denies it by a response.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body::Body;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{self, HeaderValue},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use pyo3::{exceptions::PyValueError, intern, prelude::*};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::ProtocolError,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    connection::Connection,
    http::{Answer, Cut, Exchange, Outgoing, ResponseBody, gone, plain},
    lock,
    message::{Event, Fields, Value, misplaced},
    scope::Protocol,
    worker::{Ending, Stage},
};

/// How many messages wait on the way from and to the application.
const QUEUED: usize = 16;
/// How long the client may take to answer a close.
const CLOSING: Duration = Duration::from_secs(5);
/// There was no close frame.
const ABNORMAL: u16 = 1006;

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_handshake<B>(request: &Request<B>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    let wanted = upgrade.and_then(|value| value.to_str().ok());
    wanted.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// The key that answers a handshake.
fn accept_key<B: Body>(request: &Request<B>) -> Result<String, &'static str> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err("a WebSocket begins with a GET of HTTP/1.1");
    }
    if !request.body().is_end_stream() {
        return Err("a WebSocket begins with a GET without a body");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&HeaderValue::from_static("13")) {
        return Err("the header Sec-WebSocket-Version must be 13");
    }
    let key = key.ok_or("the header Sec-WebSocket-Key is missing")?;
    Ok(derive_accept_key(key.as_bytes()))
}

/// Answers a handshake, and starts what follows.
pub(crate) async fn respond(
    connection: &Arc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Cut> {
    let key = match accept_key(&request) {
        Ok(key) => key,
        Err(reason) => {
            let mut refused = plain(StatusCode::BAD_REQUEST, reason);
            let version = HeaderValue::from_static("13");
            refused
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_VERSION, version);
            return Ok(refused);
        }
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let handshake = Exchange::new(&parts.method, body);
    let answer: Answer = handshake.answer();
    let (to_app, events) = mpsc::channel(QUEUED);
    let (to_client, from_app) = mpsc::channel(QUEUED);
    let socket = Arc::new(Socket {
        handshake: Arc::clone(&handshake),
        key,
        events: AsyncMutex::new(events),
        has_told_of_connect: AtomicBool::new(false),
        state: Mutex::new(SocketState {
            phase: Phase::Connecting(to_client),
            close: None,
            closed: (ABNORMAL, String::new()),
        }),
    });
    let shared = Arc::clone(&socket);
    connection.start(Protocol::WebSocket, parts, handshake, |py, ending| {
        let exchange = WebSocketExchange {
            socket: shared,
            ending: Mutex::new(Some(ending)),
        };
        Ok(Bound::new(py, exchange)?.into_any())
    });
    let response = answer.await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = Client {
            connection: Arc::clone(connection),
            socket,
            to_app,
            from_app,
        };
        tokio::spawn(client.run(upgrade));
    }
    Ok(response)
}

/// What the application and the task of the connection share.
struct Socket {
    handshake: Arc<Exchange>,
    key: String,
    events: AsyncMutex<mpsc::Receiver<Message>>,
    has_told_of_connect: AtomicBool,
    state: Mutex<SocketState>,
}

struct SocketState {
    phase: Phase,
    /// The frame that the client gets once the application has dropped its channel.
    close: Option<CloseFrame>,
    /// The code and the reason of the last message, `websocket.disconnect`.
    closed: (u16, String),
}

enum Phase {
    Connecting(mpsc::Sender<Message>),
    Denying,
    Open(mpsc::Sender<Message>),
    Closed,
}

impl Socket {
    fn state(&self) -> MutexGuard<'_, SocketState> {
        lock(&self.state)
    }

    /// Puts a message of the application to work. Returns what has to be sent to the client, and by which channel.
    fn push(&self, message: Sent) -> PyResult<Option<(mpsc::Sender<Message>, Message)>> {
        let mut state = self.state();
        let phase = std::mem::replace(&mut state.phase, Phase::Closed);
        match (phase, message) {
            (Phase::Connecting(channel), Sent::Accept(protocol, headers)) => {
                self.handshake
                    .switch_protocols(self.accepted(protocol, headers)?)?;
                state.phase = Phase::Open(channel);
            }
            (Phase::Connecting(_), Sent::Close(_)) => {
                let forbidden = Outgoing::Start(StatusCode::FORBIDDEN, HeaderMap::new());
                self.handshake.push(forbidden)?;
                self.handshake.push(Outgoing::last(Bytes::new()))?;
            }
            (Phase::Connecting(_) | Phase::Denying, Sent::Denial(message)) => {
                state.phase = Phase::Denying;
                self.handshake.push(message)?;
            }
            (Phase::Open(channel), Sent::Message(message)) => {
                state.phase = Phase::Open(channel.clone());
                return Ok(Some((channel, message)));
            }
            (Phase::Open(_), Sent::Close(frame)) => state.close = Some(frame),
            (phase, message) => {
                let error = unexpected(&phase, &message);
                state.phase = phase;
                return Err(error);
            }
        }
        Ok(None)
    }

    /// The headers of the answer to the handshake.
    fn accepted(&self, protocol: Option<String>, mut headers: HeaderMap) -> PyResult<HeaderMap> {
        let invalid = |what: &str| PyValueError::new_err(format!("{what} is no value of a header"));
        let key = HeaderValue::from_str(&self.key).map_err(|_| invalid(&self.key))?;
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Some(protocol) = protocol {
            let value = HeaderValue::from_str(&protocol).map_err(|_| invalid(&protocol))?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        Ok(headers)
    }
}

/// A message of the application.
enum Sent {
    Accept(Option<String>, HeaderMap),
    Message(Message),
    Close(CloseFrame),
    Denial(Outgoing),
    Other(String),
}

impl<'py> FromPyObject<'_, 'py> for Sent {
    type Error = PyErr;

    fn extract(message: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = message.py();
        let message = message.to_owned();
        let fields = Fields::new(&message)?;
        Ok(match fields.kind()? {
            "websocket.accept" => {
                Self::Accept(fields.text(intern!(py, "subprotocol"))?, fields.headers()?)
            }
            "websocket.send" => Self::Message(
                match (
                    fields.bytes(intern!(py, "bytes"))?,
                    fields.text(intern!(py, "text"))?,
                ) {
                    (Some(bytes), None) => Message::Binary(bytes),
                    (None, Some(text)) => Message::Text(text.into()),
                    _ => {
                        return Err(PyValueError::new_err(format!(
                            "websocket.send has either 'bytes' or 'text': {message:?}"
                        )));
                    }
                },
            ),
            "websocket.close" => {
                let code = fields.get(intern!(py, "code"))?;
                let code = code.map_or(Ok(1000), |code| {
                    let wrong =
                        || fields.wrong("code", "1000 to 4999, without 1005 and 1006", &code);
                    let number = code.extract::<u16>().map_err(|_| wrong())?;
                    let is_allowed = CloseCode::from(number).is_allowed();
                    is_allowed.then_some(number).ok_or_else(wrong)
                })?;
                let reason = fields.text(intern!(py, "reason"))?.unwrap_or_default();
                if reason.len() > 123 {
                    return Err(PyValueError::new_err(format!(
                        "the reason of a close has up to 123 bytes, not {}: {reason:?}",
                        reason.len()
                    )));
                }
                Self::Close(close_frame(code, reason))
            }
            "websocket.http.response.start" => {
                Self::Denial(Outgoing::Start(fields.status()?, fields.headers()?))
            }
            "websocket.http.response.body" => Self::Denial(Outgoing::Body {
                body: fields.bytes(intern!(py, "body"))?.unwrap_or_default(),
                more_body: fields.flag(intern!(py, "more_body"))?,
            }),
            other => Self::Other(other.to_owned()),
        })
    }
}

fn close_frame(code: u16, reason: impl Into<Utf8Bytes>) -> CloseFrame {
    CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }
}

fn unexpected(phase: &Phase, message: &Sent) -> PyErr {
    let kind = match message {
        Sent::Accept(..) => "websocket.accept",
        Sent::Message(_) => "websocket.send",
        Sent::Close(_) => "websocket.close",
        Sent::Denial(Outgoing::Start(..)) => "websocket.http.response.start",
        Sent::Denial(_) => "websocket.http.response.body",
        Sent::Other(kind) => kind,
    };
    misplaced(
        kind,
        match phase {
            Phase::Connecting(_) => {
                "'websocket.accept', 'websocket.close' or 'websocket.http.response.start'"
            }
            Phase::Denying => "'websocket.http.response.body'",
            Phase::Open(_) => "'websocket.send' or 'websocket.close'",
            Phase::Closed => "none after the close or the response",
        },
    )
}

/// The `receive` and `send` of a WebSocket.
#[pyclass(frozen, module = "serve")]
pub(crate) struct WebSocketExchange {
    socket: Arc<Socket>,
    ending: Mutex<Option<Ending>>,
}

#[pyo3_asyncio::tokio::pymethods]
impl WebSocketExchange {
    #[pyo3(eager_start)]
    async fn receive(&self) -> Event {
        let socket = &self.socket;
        if !socket.has_told_of_connect.swap(true, Ordering::Relaxed) {
            return Event("websocket.connect", Vec::new());
        }
        match socket.events.lock().await.recv().await {
            Some(Message::Text(text)) => {
                let text = Value::Text(text.as_str().to_owned());
                Event("websocket.receive", vec![("text", text)])
            }
            Some(message) => {
                let bytes = Value::Bytes(message.into_data());
                Event("websocket.receive", vec![("bytes", bytes)])
            }
            None => {
                let (code, reason) = socket.state().closed.clone();
                let fields = [
                    ("code", Value::Number(code)),
                    ("reason", Value::Text(reason)),
                ];
                Event("websocket.disconnect", fields.into())
            }
        }
    }

    #[pyo3(eager_start)]
    async fn send(&self, message: Sent) -> PyResult<()> {
        match self.socket.push(message)? {
            Some((channel, message)) => channel.send(message).await.map_err(|_| gone()),
            None => Ok(()),
        }
    }

    /// Ends the exchange. Returns what the handshake lacks, if the application has not raised.
    fn end(&self, has_failed: bool) -> Option<&'static str> {
        drop(lock(&self.ending).take());
        let mut state = self.socket.state();
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Connecting(_) => self
                .socket
                .handshake
                .end(has_failed)
                .map(|_| "ASGI callable returned without completing the WebSocket handshake."),
            Phase::Denying => self.socket.handshake.end(has_failed),
            Phase::Open(channel) => {
                let code = if has_failed { 1011 } else { 1000 };
                state.close = Some(close_frame(code, ""));
                drop(state);
                drop(channel);
                None
            }
            Phase::Closed => None,
        }
    }

    /// The status of the answer to the handshake. None if there is none.
    #[getter]
    fn status(&self) -> Option<u16> {
        self.socket.handshake.status()
    }
}

/// The task of a connection.
struct Client {
    connection: Arc<Connection>,
    socket: Arc<Socket>,
    to_app: mpsc::Sender<Message>,
    from_app: mpsc::Receiver<Message>,
}

type Stream = WebSocketStream<TokioIo<Upgraded>>;

impl Client {
    async fn run(mut self, upgrade: OnUpgrade) {
        let options = &self.connection.worker.options;
        let Ok(Ok(upgraded)) = timeout(options.patience(true), upgrade).await else {
            return;
        };
        let config = WebSocketConfig::default()
            // A thousand idle connections shall not take 128 MiB.
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(options.ws_max_size))
            .max_frame_size(Some(options.ws_max_size));
        let io = TokioIo::new(upgraded);
        let mut stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let connection = Arc::clone(&self.connection);
        let closed = tokio::select! {
            closed = self.exchange(&mut stream) => closed,
            () = connection.worker.at_least(Stage::Aborted) => None,
        };
        if let Some(CloseFrame { code, reason }) = closed {
            self.socket.state().closed = (code.into(), reason.to_string());
        }
        // Dropping the channels tells the application.
    }

    /// Carries messages until the connection ends. Returns how.
    async fn exchange(&mut self, stream: &mut Stream) -> Option<CloseFrame> {
        let options = &self.connection.worker.options;
        let seconds =
            |seconds: Option<f64>| seconds.filter(|it| *it > 0.0).map(Duration::from_secs_f64);
        let (ping_interval, ping_timeout) = (
            seconds(options.ws_ping_interval),
            seconds(options.ws_ping_timeout),
        );
        let far = Duration::from_secs(86_400);
        let mut stopping = pin!(self.connection.worker.at_least(Stage::Stopping));
        let mut closed = None;
        // Set once a close is sent.
        let mut is_closing = false;
        let mut waits_for_pong = false;
        let mut deadline = Instant::now() + ping_interval.unwrap_or(far);
        loop {
            let read = async {
                // Not read before the application has taken what came before.
                let room = match is_closing {
                    true => None,
                    false => self.to_app.reserve().await.ok(),
                };
                (room, stream.next().await)
            };
            let close = tokio::select! {
                (room, message) = read => match message {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                        if let Some(room) = room {
                            room.send(message);
                        }
                        continue;
                    }
                    Some(Ok(Message::Close(frame))) => {
                        // The answer goes out with the next read, which then ends.
                        closed = Some(frame.unwrap_or_else(|| close_frame(1005, "")));
                        continue;
                    }
                    Some(Ok(Message::Pong(_))) => {
                        waits_for_pong = false;
                        if !is_closing {
                            deadline = Instant::now() + ping_interval.unwrap_or(far);
                        }
                        continue;
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => {
                        let wrong = fault(&error)?;
                        if !is_closing {
                            // The connection ends anyway.
                            let _ = timeout(CLOSING, stream.close(Some(wrong.clone()))).await;
                        }
                        return closed.or(Some(wrong));
                    }
                    None => return closed,
                },
                message = self.from_app.recv(), if !is_closing => match message {
                    Some(message) => {
                        let mut sent = stream.feed(message).await;
                        while let (Ok(()), Ok(message)) = (&sent, self.from_app.try_recv()) {
                            sent = stream.feed(message).await;
                        }
                        if sent.is_err() || stream.flush().await.is_err() {
                            return closed;
                        }
                        continue;
                    }
                    None => self.socket.state().close.take(),
                },
                () = stopping.as_mut(), if !is_closing => {
                    Some(close_frame(1012, ""))
                }
                () = sleep_until(deadline) => {
                    if is_closing || waits_for_pong {
                        return closed;
                    }
                    if let Some(interval) = ping_interval {
                        if stream.send(Message::Ping(Bytes::new())).await.is_err() {
                            return closed;
                        }
                        waits_for_pong = ping_timeout.is_some();
                        deadline = Instant::now() + ping_timeout.unwrap_or(interval);
                    } else {
                        deadline = Instant::now() + far;
                    }
                    continue;
                }
            };
            is_closing = true;
            deadline = Instant::now() + CLOSING;
            if stream.close(close).await.is_err() {
                return closed;
            }
        }
    }
}

/// The close frame that answers an error of the client. `None` if it is gone.
fn fault(error: &Error) -> Option<CloseFrame> {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Capacity(_) => Some(close_frame(1009, "message too big")),
        Error::Protocol(_) => Some(close_frame(1002, "")),
        Error::Utf8(_) => Some(close_frame(1007, "")),
        _ => None,
    }
}

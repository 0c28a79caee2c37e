//! An ASGI server: hyper speaks HTTP, tungstenite WebSockets, and an application in Python answers.
//!
//! On a loop of `tokio::new_event_loop`, all of it runs in one thread. On any other loop, hyper runs on tokio's threads. The code is
//! the same: a request is one call on the loop, and the application awaits two methods of a Rust object, `receive` and `send`.
//!
//! | module | owns |
//! | --- | --- |
//! | `listen` | the listening socket, and TLS |
//! | `worker` | the life of a server: it accepts, stops, and cancels what does not end |
//! | `connection` | one connection: timeouts, and which requests become WebSockets |
//! | `scope` | what the application is told about a request |
//! | `http` | one request and its response |
//! | `websocket` | one WebSocket |
//! | `message` | the dicts that an application sends |
//! | `outbox` | what waits for the client |

mod connection;
mod http;
mod listen;
mod message;
mod outbox;
mod scope;
mod websocket;
mod worker;

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds this lock")
}

/// The native half of the Python package `serve`.
#[pymodule(gil_used = false)]
mod _serve {
    #[pymodule_export]
    use crate::{
        http::HttpExchange, listen::Listener, outbox::ClientDisconnected,
        websocket::WebSocketExchange, worker::Server,
    };

    use pyo3::prelude::*;

    /// An event loop whose thread also runs the server.
    #[pyfunction]
    fn new_event_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        pyo3_asyncio::tokio::new_event_loop(py)
    }
}

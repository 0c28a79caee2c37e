//! The listening socket, and TLS.
//!
//! A supervisor listens before it forks, so that its workers share one socket. The socket joins a tokio runtime only when a worker
//! serves.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::lock;

/// A host and a port, or a path.
pub(crate) type Address = (String, Option<u16>);

/// Connections that the system keeps for the server to accept.
const BACKLOG: i32 = 2048;

/// A socket that listens, until it is served or closed.
#[pyclass(frozen, module = "serve")]
pub(crate) struct Listener {
    socket: Mutex<Option<Socket>>,
    /// The host and the port, or the path.
    #[pyo3(get)]
    address: Address,
}

#[pymethods]
impl Listener {
    /// Listens on the first address of the host on which that is possible.
    #[staticmethod]
    fn tcp(py: Python<'_>, host: &str, port: u16) -> PyResult<Self> {
        let listener = py
            .detach(|| TcpListener::bind((host, port)))
            .map_err(|error| cannot_listen(&format!("{host}:{port}"), &error))?;
        let address = address(listener.local_addr()?);
        let socket = Socket::from(listener);
        // Connections inherit it: a response goes out at once.
        socket.set_tcp_nodelay(true)?;
        Self::new(socket, address)
    }

    /// Listens on a socket in the file system. Replaces one on which nobody listens any more.
    #[staticmethod]
    fn unix(path: PathBuf) -> PyResult<Self> {
        let address = path.display().to_string();
        let is_socket = path
            .symlink_metadata()
            .is_ok_and(|it| it.file_type().is_socket());
        if is_socket && UnixStream::connect(&path).is_err() {
            std::fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(path).map_err(|error| cannot_listen(&address, &error))?;
        Self::new(listener.into(), (address, None))
    }

    /// Stops listening in this process.
    fn close(&self) {
        drop(lock(&self.socket).take());
    }
}

impl Listener {
    fn new(socket: Socket, address: Address) -> PyResult<Self> {
        // The system takes the new length of a queue that exists.
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Mutex::new(Some(socket)),
            address,
        })
    }
}

fn address(address: SocketAddr) -> Address {
    (address.ip().to_string(), Some(address.port()))
}

fn cannot_listen(place: &str, error: &io::Error) -> PyErr {
    PyOSError::new_err(format!("cannot listen on {place}: {error}"))
}

/// A socket that listens in a runtime.
pub(crate) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A connection of any kind. Hyper is compiled for this one.
pub(crate) type Stream = Box<dyn ReadWrite>;

pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

impl Accepting {
    /// Called inside of the runtime.
    pub(crate) fn new(listener: &Listener) -> io::Result<Self> {
        let socket = lock(&listener.socket).take();
        let socket = socket.ok_or_else(|| io::Error::other("the socket is closed"))?;
        match listener.address {
            (_, Some(_)) => tokio::net::TcpListener::from_std(socket.into()).map(Self::Tcp),
            (_, None) => tokio::net::UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }

    /// Also gives the address of the client, if it has one.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Option<Address>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                Ok((Box::new(stream), Some(address(client))))
            }
            Self::Unix(listener) => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// TLS with the certificates and the key of two PEM files.
pub(crate) fn tls(certificate: &Path, key: &Path, http2: bool) -> PyResult<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unreadable("certificate", certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|error| unreadable("private key", key, &error))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| unreadable("certificate and its key", certificate, &error))?;
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(config).into())
}

fn unreadable(what: &str, path: &Path, error: &dyn Display) -> PyErr {
    let path = path.display();
    PyValueError::new_err(format!("cannot read the {what} {path}: {error}"))
}

//! The listening socket, and TLS.
//!
//! A supervisor listens before it forks, so that its workers share one socket. The socket joins a tokio runtime only when a worker
//! serves.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::{
    lock,
    scope::{Endpoints, ServerAddress},
};

/// Connections that the system keeps for the server to accept.
const BACKLOG: i32 = 2048;

/// A socket that listens, until it is served or closed.
#[pyclass(frozen, module = "serve")]
pub(crate) struct Listener {
    listening: Mutex<Option<Listening>>,
    /// The host and the port, or the path.
    #[pyo3(get)]
    address: (String, Option<u16>),
}

enum Listening {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, PathBuf),
}

#[pymethods]
impl Listener {
    /// Listens on the first address of the host on which that is possible.
    #[staticmethod]
    fn tcp(py: Python<'_>, host: &str, port: u16) -> PyResult<Self> {
        let listener = py.detach(|| {
            let mut failed = io::Error::other("the host has no address");
            for address in (host, port).to_socket_addrs()? {
                match listen_tcp(address) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        });
        let listener =
            listener.map_err(|error| cannot_listen(&format!("{host}:{port}"), &error))?;
        let address = listener.local_addr()?;
        Ok(Self {
            listening: Mutex::new(Some(Listening::Tcp(listener))),
            address: (address.ip().to_string(), Some(address.port())),
        })
    }

    /// Listens on a socket in the file system. Replaces one on which nobody listens any more.
    #[staticmethod]
    fn unix(path: PathBuf) -> PyResult<Self> {
        let address = path.display().to_string();
        let listener = listen_unix(&path).map_err(|error| cannot_listen(&address, &error))?;
        Ok(Self {
            listening: Mutex::new(Some(Listening::Unix(listener, path))),
            address: (address, None),
        })
    }

    /// Stops listening in this process.
    fn close(&self) {
        drop(self.take());
    }
}

impl Listener {
    fn take(&self) -> Option<Listening> {
        lock(&self.listening).take()
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn listen_unix(path: &Path) -> io::Result<StdUnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && StdUnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = StdUnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn cannot_listen(place: &str, error: &io::Error) -> PyErr {
    PyOSError::new_err(format!("cannot listen on {place}: {error}"))
}

/// A socket that listens in a runtime.
pub(crate) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A connection of any kind. Hyper is compiled for this one.
pub(crate) type Stream = Box<dyn ReadWrite>;

pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

impl Accepting {
    /// Called inside of the runtime.
    pub(crate) fn new(listener: &Listener) -> io::Result<Self> {
        match listener.take() {
            Some(Listening::Tcp(listener)) => TcpListener::from_std(listener).map(Self::Tcp),
            Some(Listening::Unix(listener, path)) => {
                Ok(Self::Unix(UnixListener::from_std(listener)?, path))
            }
            None => Err(io::Error::other("the socket is closed")),
        }
    }

    pub(crate) async fn accept(&self, is_tls: bool) -> io::Result<(Stream, Endpoints)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                // A response goes out at once. Where the system refuses that, it goes out a little later.
                let _ = stream.set_nodelay(true);
                let server = ServerAddress::Tcp(stream.local_addr()?);
                Ok((
                    Box::new(stream),
                    Endpoints::new(Some(client), server, is_tls),
                ))
            }
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                let server = ServerAddress::Unix(path.clone());
                Ok((Box::new(stream), Endpoints::new(None, server, is_tls)))
            }
        }
    }
}

/// TLS with the certificates and the key of two PEM files.
pub(crate) fn tls(certificates: &Path, key: &Path, http2: bool) -> PyResult<TlsAcceptor> {
    let unreadable = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        PyValueError::new_err(format!(
            "cannot read the {what} {}: {error}",
            path.display()
        ))
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", certificates, &error))?;
    if chain.is_empty() {
        return Err(unreadable(
            "certificate",
            certificates,
            &"no certificate is in it",
        ));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable("private key", key, &error))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private);
    let mut config = config.map_err(|error| unreadable("private key", key, &error))?;
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config).into())
}

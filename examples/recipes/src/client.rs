//! A client that Python uses with `async with`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// Sends lines to a server, and gets a line for each.
#[pyclass(frozen)]
pub(crate) struct Client {
    host: String,
    port: u16,
    /// A lock of tokio's, since a request holds it across an `await`.
    connection: Mutex<Option<BufReader<TcpStream>>>,
}

#[pyo3_asyncio::tokio::pymethods]
impl Client {
    #[new]
    fn new(host: String, port: u16) -> Self {
        Self {
            host,
            port,
            connection: Mutex::new(None),
        }
    }

    /// Connects, and gives the client itself.
    async fn __aenter__(slf: Py<Self>) -> PyResult<Py<Self>> {
        let client = slf.get();
        let connection = TcpStream::connect((client.host.as_str(), client.port)).await?;
        *client.connection.lock().await = Some(BufReader::new(connection));
        Ok(slf)
    }

    /// Closes the connection. An exception of the block goes on.
    async fn __aexit__(
        &self,
        _type: Option<Py<PyAny>>,
        _error: Option<Py<PyAny>>,
        _traceback: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        if let Some(mut connection) = self.connection.lock().await.take() {
            connection.shutdown().await?;
        }
        Ok(false)
    }

    async fn ask(&self, line: String) -> PyResult<String> {
        let mut guard = self.connection.lock().await;
        // A request that is cancelled half-way leaves the connection out of step. So it is taken out, and put back at the end.
        let mut connection = guard.take().ok_or_else(|| {
            PyRuntimeError::new_err("the client is not connected: use it in `async with`")
        })?;
        connection.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        connection.read_line(&mut answer).await?;
        *guard = Some(connection);
        Ok(answer.trim_end().to_owned())
    }
}

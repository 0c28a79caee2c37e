//! A client of the echo server.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// A connection.
#[pyclass(frozen)]
pub(crate) struct Echo(Arc<Mutex<TcpStream>>);

#[pymethods]
impl Echo {
    #[staticmethod]
    fn connect(py: Python<'_>, port: u16) -> PyResult<Bound<'_, PyAny>> {
        future_into_py(py, async move {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            Ok(Echo(Arc::new(Mutex::new(stream))))
        })
    }

    /// Sends 64 bytes and receives them.
    fn exchange<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = Arc::clone(&self.0);
        future_into_py(py, async move {
            let mut stream = stream.lock().await;
            let mut buffer = [7; 64];
            stream.write_all(&buffer).await?;
            stream.read_exact(&mut buffer).await?;
            Ok(buffer.len())
        })
    }
}

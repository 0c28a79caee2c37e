//! A client of Redis.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::future_into_py;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client, RedisError};

/// One connection, which any number of tasks use at once.
#[pyclass(frozen)]
pub(crate) struct Redis(MultiplexedConnection);

#[pymethods]
impl Redis {
    #[staticmethod]
    fn connect(py: Python<'_>, port: u16) -> PyResult<Bound<'_, PyAny>> {
        future_into_py(py, async move {
            let client = Client::open(("127.0.0.1", port)).map_err(raised)?;
            let mut connection = client
                .get_multiplexed_async_connection()
                .await
                .map_err(raised)?;
            let () = connection.set("key", "value").await.map_err(raised)?;
            Ok(Redis(connection))
        })
    }

    /// A GET.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut connection = self.0.clone();
        future_into_py(py, async move {
            let value: String = connection.get("key").await.map_err(raised)?;
            Ok(value)
        })
    }
}

fn raised(error: RedisError) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

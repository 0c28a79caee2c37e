//! Python coroutines that Rust awaits.

use std::sync::Arc;

use futures_util::future::try_join_all;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
#[cfg(not(feature = "calls"))]
use pyo3_async_runtimes::into_future_with_locals;
use pyo3_async_runtimes::tokio::{future_into_py, get_current_locals, into_future};

/// A Python function that Rust tasks call and await.
struct Handler {
    function: Py<PyAny>,
    locals: TaskLocals,
}

impl Handler {
    /// Calls on the loop's thread, where the bridge can.
    #[cfg(feature = "calls")]
    async fn call(self: &Arc<Self>) -> PyResult<()> {
        let handler = Arc::clone(self);
        let called = self
            .locals
            .run_coroutine(move |py| handler.function.bind(py).call0());
        called.and_then(|_, _| Ok(())).await
    }

    #[cfg(not(feature = "calls"))]
    async fn call(self: &Arc<Self>) -> PyResult<()> {
        let returned = Python::attach(|py| {
            into_future_with_locals(&self.locals, self.function.bind(py).call0()?)
        })?;
        returned.await.map(drop)
    }
}

/// `tasks` Rust tasks call `function` and await what it returns, `count` times in all.
#[pyfunction]
pub(crate) fn serve(
    py: Python<'_>,
    function: Py<PyAny>,
    tasks: usize,
    count: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let locals = get_current_locals(py)?;
    let handler = Arc::new(Handler { function, locals });
    future_into_py(py, async move {
        let spawn = |_| {
            let handler = Arc::clone(&handler);
            tokio::spawn(async move {
                for _ in 0..count / tasks {
                    handler.call().await?;
                }
                PyResult::Ok(())
            })
        };
        let tasks: Vec<_> = (0..tasks).map(spawn).collect();
        for task in tasks {
            task.await
                .map_err(|error| PyRuntimeError::new_err(error.to_string()))??;
        }
        Ok(())
    })
}

/// One Rust future calls `function` and awaits what it returns, `count` times, one at a time.
#[pyfunction]
pub(crate) fn await_in_turn(
    py: Python<'_>,
    function: Py<PyAny>,
    count: usize,
) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        for _ in 0..count {
            Python::attach(|py| into_future(function.bind(py).call0()?))?.await?;
        }
        Ok(())
    })
}

/// One Rust future calls `function` `count` times and awaits all that it returned at once.
#[pyfunction]
pub(crate) fn await_at_once(
    py: Python<'_>,
    function: Py<PyAny>,
    count: usize,
) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        let futures = Python::attach(|py| {
            let function = function.bind(py);
            (0..count)
                .map(|_| into_future(function.call0()?))
                .collect::<PyResult<Vec<_>>>()
        })?;
        try_join_all(futures).await?;
        Ok(())
    })
}

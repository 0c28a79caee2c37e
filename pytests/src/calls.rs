//! Python functions that Rust calls on the event loop's thread.

use std::sync::{Arc, mpsc};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::bridge;
use crate::ledger::recorded;

/// A Rust future that posts so many calls of a Python function, with their numbers, before it awaits any.
///
/// Comes back when they are posted.
#[pyfunction]
pub(crate) fn post_calls(
    py: Python<'_>,
    function: Py<PyAny>,
    count: usize,
) -> PyResult<Bound<'_, PyAny>> {
    let (posted, are_posted) = mpsc::channel();
    let function = Arc::new(function);
    let future = recorded(Arc::default(), async move {
        let post = |number| {
            let function = Arc::clone(&function);
            bridge::call_soon(move |py| function.call1(py, (number,)).map(drop))
        };
        let calls: Vec<_> = (0..count).map(post).collect();
        posted.send(()).expect("the caller listens");
        for call in calls {
            call.await?;
        }
        Ok(())
    });
    let future = bridge::future_into_py(py, future)?;
    py.detach(move || are_posted.recv())
        .map_err(|_| PyRuntimeError::new_err("the runtime dropped a future unpolled"))?;
    Ok(future)
}

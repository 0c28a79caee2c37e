//! Rust futures that call functions of Python one after the other, which may share a context.

use std::future::poll_fn;
use std::pin::Pin;

use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3_asyncio::{TaskLocals, tokio as bridge};
use smol::stream::Stream;

/// A function, and the way in which it is called.
type Hook = (String, Py<PyAny>);

async fn call(locals: &TaskLocals, (way, function): Hook) -> PyResult<Py<PyAny>> {
    match way.as_str() {
        "call_soon" => locals.call_soon(move |py| function.call0(py)).await,
        "run_coroutine" => {
            locals
                .run_coroutine(move |py| function.bind(py).call0())
                .await
        }
        "into_future" => {
            let task = Python::attach(|py| {
                pyo3_asyncio::into_future_with_locals(locals, function.bind(py).call0()?)
            });
            task?.await
        }
        "into_stream" => {
            let mut stream = Python::attach(|py| {
                pyo3_asyncio::into_stream_with_locals(locals, function.bind(py).call0()?)
            })?;
            next(&mut stream).await
        }
        "run_async_generator" => {
            next(&mut locals.run_async_generator(move |py| function.bind(py).call0())).await
        }
        _ => Err(PyKeyError::new_err(way)),
    }
}

async fn next(
    mut stream: &mut (impl Stream<Item = PyResult<Py<PyAny>>> + Unpin),
) -> PyResult<Py<PyAny>> {
    let item = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await;
    item.ok_or_else(|| PyRuntimeError::new_err("the iteration has no item"))?
}

async fn call_all(hooks: Vec<Hook>) -> PyResult<Vec<Py<PyAny>>> {
    let locals = Python::attach(bridge::get_current_locals)?;
    let mut results = Vec::new();
    for hook in hooks {
        results.push(call(&locals, hook).await?);
    }
    Ok(results)
}

/// Calls the hooks one after the other, and returns their results.
#[pyfunction]
#[pyo3(signature = (hooks, *, share_context, context=None, lazy=false))]
pub(crate) fn call_hooks<'py>(
    py: Python<'py>,
    hooks: Vec<Hook>,
    share_context: bool,
    context: Option<Bound<'py, PyAny>>,
    lazy: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let mut builder = bridge::awaitable().share_context(share_context);
    if let Some(context) = context {
        builder = builder.locals(TaskLocals::with_running_loop(py)?.with_context(context));
    }
    match lazy {
        true => builder.coroutine(py, call_all(hooks)),
        false => builder.future(py, call_all(hooks)),
    }
}

/// The same by the attribute.
#[pyo3_asyncio::tokio::pyfunction(share_context)]
pub(crate) async fn exported_call_hooks(hooks: Vec<Hook>) -> PyResult<Vec<Py<PyAny>>> {
    call_all(hooks).await
}

/// Calls two hooks at the same time, in a shared context.
#[pyfunction]
pub(crate) fn call_both(py: Python<'_>, one: Hook, other: Hook) -> PyResult<Bound<'_, PyAny>> {
    let locals = bridge::get_current_locals(py)?.share_context(py)?;
    bridge::future_into_py(py, async move {
        tokio::try_join!(call(&locals, one), call(&locals, other))
    })
}

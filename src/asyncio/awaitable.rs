//! Coroutines, tasks and futures, and the errors that they end with.

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::imports;

imports! {
    import_all_tasks = "asyncio", "all_tasks";
    import_ensure_future = "asyncio", "ensure_future";
    import_gather = "asyncio", "gather";
    import_future_repr_info = "asyncio.base_futures", "_future_repr_info";
    import_extract_stack = "asyncio.format_helpers", "extract_stack";
    import_task = "asyncio", "Task";
    import_cancelled_error = "asyncio", "CancelledError";
    import_invalid_state_error = "asyncio", "InvalidStateError";
    import_context = "contextvars", "Context";
    import_coroutine_type = "types", "CoroutineType";
    import_generic_alias = "types", "GenericAlias";
    import_isawaitable = "inspect", "isawaitable";
    import_getframe = "sys", "_getframe";
}

/// Whether `await` takes the object.
pub(crate) fn is_awaitable(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    Ok(object.get_type().hasattr(intern!(py, "__await__"))?
        || import_isawaitable(py)?.call1((object,))?.is_truthy()?)
}

fn is_coroutine(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.get_type().is(import_coroutine_type(object.py())?))
}

/// Wraps an awaitable in a task of the loop that runs in a copy of the context. A future or task comes back as it is.
///
/// Called on the loop's thread, from one of its callbacks. Where Python can (3.12 and later), the task has made its first
/// step when this returns, and may be done.
pub(crate) fn start_task<'py>(
    event_loop: &Bound<'py, PyAny>,
    awaitable: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    // Siblings must not see each other's changes, and nobody else may be inside the context when the task enters it.
    let context = context.call_method0(intern!(py, "copy"))?;
    if !is_coroutine(awaitable)? {
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "loop"), event_loop)?;
        let args = (import_ensure_future(py)?, awaitable);
        return context.call_method(intern!(py, "run"), args, Some(&kwargs));
    }
    if !starts_eagerly(event_loop)? {
        let create_task = event_loop.getattr(intern!(py, "create_task"))?;
        return context.call_method1(intern!(py, "run"), (create_task, awaitable));
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "loop"), event_loop)?;
    kwargs.set_item(intern!(py, "context"), context)?;
    kwargs.set_item(intern!(py, "eager_start"), true)?;
    import_task(py)?.call((awaitable,), Some(&kwargs))
}

/// A task factory of the user's is asked for every task; otherwise Python 3.12 and later start eagerly.
fn starts_eagerly(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = event_loop.py();
    static HAS_EAGER_START: PyOnceLock<bool> = PyOnceLock::new();
    let has_eager_start = *HAS_EAGER_START.get_or_init(py, || py.version_info() >= (3, 12));
    Ok(has_eager_start
        && event_loop
            .call_method0(intern!(py, "get_task_factory"))?
            .is_none())
}

/// Ends a coroutine that will never be awaited, so that Python does not warn of it. Other objects have nothing to end.
pub(crate) fn close_unstarted(awaitable: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_coroutine(awaitable)? {
        awaitable.call_method0(intern!(awaitable.py(), "close"))?;
    }
    Ok(())
}

pub(crate) fn done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future
        .call_method0(intern!(future.py(), "done"))?
        .is_truthy()
}

pub(crate) fn result<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    future.call_method0(intern!(future.py(), "result"))
}

pub(crate) fn cancel(future: &Bound<'_, PyAny>) -> PyResult<()> {
    future
        .call_method0(intern!(future.py(), "cancel"))
        .map(drop)
}

/// `future.add_done_callback(callback)`, in an empty context: the callback is ours and reads none.
pub(crate) fn add_done_callback<'py>(
    future: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<()> {
    static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = future.py();
    let empty = EMPTY.get_or_try_init(py, || import_context(py)?.call0().map(Bound::unbind))?;
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "context"), empty)?;
    future
        .call_method(intern!(py, "add_done_callback"), (callback,), Some(&kwargs))
        .map(drop)
}

/// The tasks of a loop that are not done.
pub(crate) fn all_tasks<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    import_all_tasks(event_loop.py())?
        .call1((event_loop,))?
        .try_iter()?
        .collect()
}

/// `asyncio.gather(*futures, return_exceptions=True)`
pub(crate) fn gather<'py>(
    py: Python<'py>,
    futures: &[Bound<'py, PyAny>],
) -> PyResult<Bound<'py, PyAny>> {
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "return_exceptions"), true)?;
    import_gather(py)?.call(PyTuple::new(py, futures)?, Some(&kwargs))
}

/// The error that a future ended with, if it is neither cancelled nor successful.
pub(crate) fn exception<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = future.py();
    if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(None);
    }
    let exception = future.call_method0(intern!(py, "exception"))?;
    Ok((!exception.is_none()).then_some(exception))
}

/// The parts of asyncio's own repr of a future: state, callbacks, result, where it was made.
pub(crate) fn future_repr_info(future: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    import_future_repr_info(future.py())?
        .call1((future,))?
        .extract()
}

/// Where Python is right now, as asyncio keeps it for its debug mode.
pub(crate) fn extract_stack(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // No frame: called from Rust, outside any Python function.
    match import_getframe(py)?.call0() {
        Ok(frame) => import_extract_stack(py)?.call1((frame,)),
        Err(_) => Ok(py.None().into_bound(py)),
    }
}

pub(crate) fn generic_alias<'py>(
    class: &Bound<'py, PyType>,
    item: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    import_generic_alias(class.py())?.call1((class, item))
}

pub(crate) fn cancelled_error<'py>(
    py: Python<'py>,
    message: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match message {
        None => import_cancelled_error(py)?.call0(),
        Some(message) => import_cancelled_error(py)?.call1((message,)),
    }
}

pub(crate) fn is_cancelled_error(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.matches(py, import_cancelled_error(py)?)?)
}

/// Whether asyncio lets the error pass through the loop instead of keeping it in the task that raised it.
pub(crate) fn ends_the_loop(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// An `asyncio.InvalidStateError`.
pub(crate) fn invalid_state(py: Python<'_>, message: impl Into<String>) -> PyErr {
    let error = import_invalid_state_error(py).and_then(|class| class.call1((message.into(),)));
    error.map_or_else(|error| error, PyErr::from_value)
}

/// `error.with_traceback(traceback)`
pub(crate) fn set_traceback(
    error: &Bound<'_, PyAny>,
    traceback: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    error.setattr(intern!(error.py(), "__traceback__"), traceback)
}

pub(crate) fn traceback<'py>(error: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let traceback = error.getattr(intern!(error.py(), "__traceback__"))?;
    Ok((!traceback.is_none()).then_some(traceback))
}

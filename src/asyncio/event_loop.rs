//! Event loops, contexts, and the hooks of the process.

use std::time::Duration;

use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyWeakrefReference};

use super::lookup::{defines, imports, intern};

imports! {
    import_register = "atexit", "register";
    import_get_running_loop = "asyncio", "get_running_loop";
    import_running_loop = "asyncio", "_get_running_loop";
    import_new_event_loop = "asyncio", "new_event_loop";
    import_set_event_loop = "asyncio", "set_event_loop";
    import_get_event_loop_policy = "asyncio", "get_event_loop_policy";
    import_context = "contextvars", "Context";
    import_copy_context = "contextvars", "copy_context";
    import_catch_warnings = "warnings", "catch_warnings";
    import_simplefilter = "warnings", "simplefilter";
    import_is_finalizing = "sys", "is_finalizing";
    import_logger = "asyncio.log", "logger";
}

defines! {
    loop_thread_function = "background.py", "loop_thread";
    call_soon_threadsafe_function = "threadsafe.py", "call_soon_threadsafe";
}

/// The running event loop of this thread, as `asyncio.get_running_loop()` returns it.
///
/// It does not see the loop of a Rust task. [`get_current_loop`](crate::locals::get_current_loop) does.
///
/// # Errors
///
/// `RuntimeError` if no loop runs in this thread.
pub fn get_running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    import_get_running_loop(py)?.call0()
}

/// Like `get_running_loop`, but `None` if no loop runs.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let running = import_running_loop(py)?.call0()?;
    Ok((!running.is_none()).then_some(running))
}

/// A new loop, from the module's `new_event_loop` if a module is named, or from the policy.
pub(crate) fn new_event_loop<'py>(
    py: Python<'py>,
    module: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    match module {
        None => import_new_event_loop(py)?.call0(),
        Some(module) => py
            .import(module)?
            .call_method0(intern!(py, "new_event_loop")),
    }
}

/// The loop that was set for this thread, or the one that the policy makes. `None` if the policy makes none.
pub(crate) fn policy_event_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    // Policies are deprecated in newer Pythons, but nothing else returns the loop that a program has set.
    let warnings = import_catch_warnings(py)?.call0()?;
    warnings.call_method0(intern!(py, "__enter__"))?;
    let policy = import_simplefilter(py)?
        .call1((intern!(py, "ignore"),))
        .and_then(|_| import_get_event_loop_policy(py)?.call0())
        .and_then(|policy| policy.call_method0(intern!(py, "get_event_loop")));
    let none = py.None();
    warnings.call_method1(intern!(py, "__exit__"), (&none, &none, &none))?;
    match policy {
        Ok(event_loop) => Ok(Some(event_loop)),
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn set_event_loop(
    py: Python<'_>,
    event_loop: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    import_set_event_loop(py)?.call1((event_loop,)).map(drop)
}

pub(crate) fn is_closed(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    event_loop
        .call_method0(intern!(event_loop.py(), "is_closed"))?
        .is_truthy()
}

pub(crate) fn is_debug(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    event_loop
        .call_method0(intern!(event_loop.py(), "get_debug"))?
        .is_truthy()
}

/// Warns of a callback of a loop in debug mode, as `BaseEventLoop._run_once` does.
pub(crate) fn warn_if_slow(
    event_loop: &Bound<'_, PyAny>,
    callback: &str,
    took: Duration,
) -> PyResult<()> {
    let py = event_loop.py();
    let limit = intern!(py, "slow_callback_duration");
    let took = took.as_secs_f64();
    match event_loop.getattr_opt(limit)? {
        Some(limit) if limit.extract::<f64>()? <= took => {
            let arguments = ("Executing %s took %.3f seconds", callback, took);
            import_logger(py)?
                .call_method1(intern!(py, "warning"), arguments)
                .map(drop)
        }
        _ => Ok(()),
    }
}

pub(crate) fn run_until_complete<'py>(
    event_loop: &Bound<'py, PyAny>,
    future: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    event_loop.call_method1(intern!(event_loop.py(), "run_until_complete"), (future,))
}

pub(crate) fn run_forever(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    event_loop
        .call_method0(intern!(event_loop.py(), "run_forever"))
        .map(drop)
}

pub(crate) fn stop(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    event_loop
        .call_method0(intern!(event_loop.py(), "stop"))
        .map(drop)
}

/// A `threading.Thread`, not started, that runs the loop until something stops it, and then ends it as `asyncio.run` does.
pub(crate) fn loop_thread<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    loop_thread_function(event_loop.py())?.call1((event_loop,))
}

/// `thread.start()`. From Python 3.14 on, a thread may inherit the context of this one, and would keep it alive.
pub(crate) fn start_thread(thread: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = thread.py();
    let start = thread.getattr(intern!(py, "start"))?;
    in_empty_context(py, (start,)).map(drop)
}

pub(crate) fn join_thread(thread: &Bound<'_, PyAny>, timeout: Duration) -> PyResult<()> {
    thread
        .call_method1(intern!(thread.py(), "join"), (timeout.as_secs_f64(),))
        .map(drop)
}

/// Wakes a sleeping loop, from a signal handler or another thread.
pub(crate) fn wake(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    // Any callable without side effects works.
    let harmless = event_loop.getattr(intern!(event_loop.py(), "get_debug"))?;
    call_soon_threadsafe(event_loop, &harmless)
}

pub(crate) fn close(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    event_loop
        .call_method0(intern!(event_loop.py(), "close"))
        .map(drop)
}

pub(crate) fn shutdown_asyncgens<'py>(
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    event_loop.call_method0(intern!(event_loop.py(), "shutdown_asyncgens"))
}

pub(crate) fn shutdown_default_executor<'py>(
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    event_loop.call_method0(intern!(event_loop.py(), "shutdown_default_executor"))
}

/// Calls in an empty context. The loop's handle copies the current context, and a handle of ours outlives the caller's request.
fn in_empty_context<'py>(
    py: Python<'py>,
    args: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    run_in_context(&import_context(py)?.call0()?, args)
}

/// False if the loop does not watch this, for whatever reason: it watches nothing, or only sockets, or nothing more. `watched` is
/// a descriptor, or an object that has one.
pub(crate) fn add_reader<'py>(
    event_loop: &Bound<'py, PyAny>,
    watched: impl IntoPyObject<'py>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<bool> {
    let py = event_loop.py();
    let add_reader = event_loop.getattr(intern!(py, "add_reader"));
    match add_reader.and_then(|add| in_empty_context(py, (add, watched, callback))) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn call_later(
    event_loop: &Bound<'_, PyAny>,
    seconds: f64,
    callback: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    let call_later = event_loop.getattr(intern!(py, "call_later"))?;
    in_empty_context(py, (call_later, seconds, callback)).map(drop)
}

pub(crate) fn call_soon_threadsafe<'py>(
    event_loop: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    let call_soon_threadsafe = call_soon_threadsafe_function(py)?;
    in_empty_context(py, (call_soon_threadsafe, event_loop, callback)).map(drop)
}

/// `event_loop.call_soon(callback, argument, context=context)`
pub(crate) fn call_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = event_loop.py();
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "context"), context)?;
    event_loop
        .call_method(
            intern!(py, "call_soon"),
            (callback, argument),
            Some(&kwargs),
        )
        .map(drop)
}

/// `event_loop.call_exception_handler({"message": message, "exception": error, "future": future, …})`
pub(crate) fn call_exception_handler<'py>(
    event_loop: &Bound<'py, PyAny>,
    message: &str,
    error: &Bound<'py, PyAny>,
    future: Option<&Bound<'py, PyAny>>,
    source_traceback: Option<&Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = event_loop.py();
    let context = PyDict::new(py);
    context.set_item(intern!(py, "message"), message)?;
    context.set_item(intern!(py, "exception"), error)?;
    if let Some(future) = future {
        context.set_item(intern!(py, "future"), future)?;
    }
    if let Some(source_traceback) = source_traceback {
        context.set_item(intern!(py, "source_traceback"), source_traceback)?;
    }
    event_loop
        .call_method1(intern!(py, "call_exception_handler"), (context,))
        .map(drop)
}

pub(crate) fn copy_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    import_copy_context(py)?.call0()
}

/// `context.run(function, …)`. Fails while the context is entered.
pub(crate) fn run_in_context<'py>(
    context: &Bound<'py, PyAny>,
    args: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    context.call_method1(intern!(context.py(), "run"), args)
}

/// `context.copy()`
pub(crate) fn copy_of<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    context.call_method0(intern!(context.py(), "copy"))
}

/// `atexit.register(callback)`
pub(crate) fn at_exit(callback: &Bound<'_, PyAny>) -> PyResult<()> {
    import_register(callback.py())?.call1((callback,)).map(drop)
}

/// Runs a function inside a deallocation, and keeps an exception that is being raised. Does nothing without an interpreter.
pub(crate) fn in_deallocation(run: impl FnOnce(Python<'_>)) {
    let _ = Python::try_attach(|py| {
        let under_way = PyErr::take(py);
        run(py);
        if let Some(error) = under_way {
            error.restore(py);
        }
    });
}

/// `sys.is_finalizing()`
pub(crate) fn is_finalizing(py: Python<'_>) -> PyResult<bool> {
    import_is_finalizing(py)?.call0()?.is_truthy()
}

/// `os.register_at_fork(…)` with the methods of `hooks`. Does nothing where processes cannot fork.
pub(crate) fn at_fork(hooks: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = hooks.py();
    let Some(register) = py.import("os")?.getattr_opt("register_at_fork")? else {
        return Ok(());
    };
    let arguments = PyDict::new(py);
    for (when, method) in [
        ("before", "before_fork"),
        ("after_in_parent", "after_fork_in_parent"),
        ("after_in_child", "after_fork_in_child"),
    ] {
        arguments.set_item(when, hooks.getattr(method)?)?;
    }
    register.call((), Some(&arguments)).map(drop)
}

pub(crate) fn weakref<'py>(
    object: &Bound<'py, PyAny>,
    callback: Py<PyAny>,
) -> PyResult<Bound<'py, PyWeakrefReference>> {
    let callback = callback.into_bound(object.py());
    if callback.is_none() {
        return PyWeakrefReference::new(object);
    }
    PyWeakrefReference::new_with(object, callback)
}

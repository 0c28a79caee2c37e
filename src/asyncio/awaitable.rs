//! Coroutines, tasks and futures, and the errors that end them.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};

use pyo3::exceptions::{PyBaseException, PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use super::lookup::{defines, imports, intern};

imports! {
    import_all_tasks = "asyncio", "all_tasks";
    import_ensure_future = "asyncio", "ensure_future";
    import_task = "asyncio", "Task";
    import_gather = "asyncio", "gather";
    import_future_repr_info = "asyncio.base_futures", "_future_repr_info";
    import_extract_stack = "asyncio.format_helpers", "extract_stack";
    import_cancelled_error = "asyncio", "CancelledError";
    import_invalid_state_error = "asyncio", "InvalidStateError";
    import_coroutine_type = "types", "CoroutineType";
    import_generic_alias = "types", "GenericAlias";
    import_isawaitable = "inspect", "isawaitable";
    import_getcoroutinestate = "inspect", "getcoroutinestate";
    import_iscoroutine = "asyncio", "iscoroutine";
    import_isfuture = "asyncio", "isfuture";
    import_format_callback_source = "asyncio.format_helpers", "_format_callback_source";
    import_compile = "builtins", "compile";
    import_currentframe = "inspect", "currentframe";
    import_frame_summary = "traceback", "FrameSummary";
    import_stack_summary = "traceback", "StackSummary";
}

defines! {
    await_it_function = "shared_context.py", "await_it";
    run_in_function = "shared_context.py", "run_in";
}

/// Whether `await` accepts the object.
pub(crate) fn is_awaitable(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    Ok(object.get_type().hasattr(intern!(py, "__await__"))?
        || import_isawaitable(py)?.call1((object,))?.is_truthy()?)
}

/// `types.CoroutineType`
pub(crate) fn coroutine_type(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    import_coroutine_type(py).cloned()
}

fn is_coroutine(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.get_type().is(import_coroutine_type(object.py())?))
}

/// The qualified name of a coroutine, or the type of another awaitable.
pub(crate) fn name_of(awaitable: &Bound<'_, PyAny>) -> String {
    let name = awaitable.getattr(intern!(awaitable.py(), "__qualname__"));
    let name = name.or_else(|_| Ok(awaitable.get_type().fully_qualified_name()?.into_any()));
    name.map_or_else(|_: PyErr| String::new(), |name| name.to_string())
}

/// Wraps an awaitable in a task of the loop, in a context that nobody else enters. Returns a future or task unchanged.
///
/// Called on the loop's thread. Where asyncio can start a task eagerly, the task makes its first step here.
pub(crate) fn start_task<'py>(
    event_loop: &Bound<'py, PyAny>,
    awaitable: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    if is_coroutine(awaitable)? && starts_eagerly(event_loop)? {
        return start_eagerly(event_loop, awaitable, context);
    }
    let (start, kwargs) = starter(event_loop, awaitable)?;
    context.call_method(intern!(py, "run"), (start, awaitable), kwargs.as_ref())
}

/// Like [`start_task`], in a context that other tasks run in too. Never eagerly: the caller may be inside of the context.
///
/// Up to Python 3.10, a task always runs in a copy. There, the task of a coroutine steps through another one.
pub(crate) fn start_task_in_shared<'py>(
    event_loop: &Bound<'py, PyAny>,
    awaitable: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    if is_future(awaitable)? {
        let (start, kwargs) = starter(event_loop, awaitable)?;
        return start.call((awaitable,), kwargs.as_ref());
    }
    let coroutine = match import_iscoroutine(py)?.call1((awaitable,))?.is_truthy()? {
        true => awaitable.clone(),
        false => await_it_function(py)?.call1((awaitable,))?,
    };
    let kwargs = PyDict::new(py);
    let steps = if py.version_info() >= (3, 11) {
        kwargs.set_item(intern!(py, "context"), context)?;
        coroutine.clone()
    } else {
        run_in_function(py)?.call1((context, &coroutine))?
    };
    // Made inside of the context, so that Python refuses a context that is entered all the time because the loop runs in it. A task
    // with such a context would never make a step.
    let create_task = event_loop.getattr(intern!(py, "create_task"))?;
    let run = (create_task, &steps);
    let started = context.call_method(intern!(py, "run"), run, Some(&kwargs));
    if started.is_err() {
        // Python would otherwise warn that a coroutine was never awaited.
        for unstarted in [&steps, &coroutine, awaitable] {
            close_unstarted(unstarted)?;
        }
    }
    started
}

/// The function that makes a task of an awaitable, and its keyword arguments.
fn starter<'py>(
    event_loop: &Bound<'py, PyAny>,
    awaitable: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyDict>>)> {
    let py = event_loop.py();
    if is_coroutine(awaitable)? {
        return Ok((event_loop.getattr(intern!(py, "create_task"))?, None));
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "loop"), event_loop)?;
    Ok((import_ensure_future(py)?.clone(), Some(kwargs)))
}

/// Whether the loop would make an `asyncio.Task`, which can start eagerly since Python 3.12. A task factory or a `create_task`
/// of the user's makes what it likes.
fn starts_eagerly(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = event_loop.py();
    if py.version_info() < (3, 12) {
        return Ok(false);
    }
    let create_task = event_loop.getattr(intern!(py, "create_task"))?;
    let module = create_task.getattr(intern!(py, "__module__"))?;
    if !module.eq(intern!(py, "asyncio.base_events"))? && !module.eq(intern!(py, "uvloop.loop"))? {
        return Ok(false);
    }
    let factory = event_loop.call_method0(intern!(py, "get_task_factory"))?;
    Ok(factory.is_none())
}

/// `asyncio.Task(coroutine, loop=event_loop, context=context, eager_start=True)`
fn start_eagerly<'py>(
    event_loop: &Bound<'py, PyAny>,
    coroutine: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let class = import_task(py)?;
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "loop"), event_loop)?;
    kwargs.set_item(intern!(py, "context"), context)?;
    kwargs.set_item(intern!(py, "eager_start"), true)?;
    // In two steps: a first step that ends the loop raises in `__init__`. The task has stored the error too, and would report
    // that nobody retrieved it.
    let task = class.call_method1(intern!(py, "__new__"), (class,))?;
    let started = task.call_method(intern!(py, "__init__"), (coroutine,), Some(&kwargs));
    started.inspect_err(|_| drop(exception(&task)))?;
    Ok(task)
}

/// Silences the warnings about a pending task of a closed loop: "Task was destroyed but it is pending!" (as `gather` does),
/// and "never awaited" if the task has not taken its first step.
pub(crate) fn let_die_pending(task: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    let name = intern!(py, "_log_destroy_pending");
    if !task.hasattr(name)? {
        return Ok(());
    }
    task.setattr(name, false)?;
    let coroutine = task.call_method0(intern!(py, "get_coro"))?;
    if is_coroutine(&coroutine)? {
        // An error: Python imports nothing any more, and warns of nothing.
        let Ok(getcoroutinestate) = import_getcoroutinestate(py) else {
            return Ok(());
        };
        let state = getcoroutinestate.call1((&coroutine,))?;
        if state.eq(intern!(py, "CORO_CREATED"))? {
            close_unstarted(&coroutine)?;
        }
    }
    Ok(())
}

/// Closes a coroutine that will never be awaited, so that Python does not warn about it.
pub(crate) fn close_unstarted(awaitable: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = awaitable.py();
    if import_iscoroutine(py)?.call1((awaitable,))?.is_truthy()? {
        awaitable.call_method0(intern!(py, "close"))?;
    }
    Ok(())
}

pub(crate) fn is_future(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    import_isfuture(object.py())?.call1((object,))?.is_truthy()
}

pub(crate) fn done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future
        .call_method0(intern!(future.py(), "done"))?
        .is_truthy()
}

/// The value of a done future, or the error that `await` raises.
pub(crate) fn result<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let result = || future.call_method0(intern!(future.py(), "result"));
    catch_unwind(AssertUnwindSafe(result)).unwrap_or_else(|_| {
        // PyO3 panics when Python raises its `PanicException`. It does not when Python returns it.
        match exception(future)? {
            Some(error) => Err(PyErr::from_value(error)),
            None => Err(PyErr::from_value(cancelled_error(future.py(), None)?)),
        }
    })
}

pub(crate) fn cancel(future: &Bound<'_, PyAny>) -> PyResult<()> {
    future
        .call_method0(intern!(future.py(), "cancel"))
        .map(drop)
}

/// `future.add_done_callback(callback)`
///
/// The callback gets a copy of the current context, which is empty in the drain. A shared empty context would fail: two loops
/// cannot enter it at once.
pub(crate) fn add_done_callback<'py>(
    future: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let name = intern!(future.py(), "add_done_callback");
    future.call_method1(name, (callback,)).map(drop)
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

/// The error of a done future. `None` if it succeeded or was cancelled.
pub(crate) fn exception<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = future.py();
    if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(None);
    }
    let exception = future.call_method0(intern!(py, "exception"))?;
    Ok((!exception.is_none()).then_some(exception))
}

/// The parts of asyncio's repr of a future: its state, callbacks, result, and where it was made.
pub(crate) fn future_repr_info(future: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    import_future_repr_info(future.py())?
        .call1((future,))?
        .extract()
}

/// Describes a call of a callback with a future, as asyncio does in its messages.
pub(crate) fn describe_callback<'py>(
    callback: &Bound<'py, PyAny>,
    future: &Bound<'py, PyAny>,
) -> PyResult<String> {
    import_format_callback_source(callback.py())?
        .call1((callback, (future,)))?
        .extract()
}

/// The current Python stack, as asyncio records it in debug mode. `None` where no Python function runs.
pub(crate) fn extract_stack(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    // This is a Python function, so there is a frame to begin with. Without one, `sys._getframe` of CPython 3.15 may crash.
    match import_currentframe(py)?.call0() {
        Ok(frame) => import_extract_stack(py)?.call1((frame,)).map(Some),
        Err(error) if ends_the_loop(py, &error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// A recorded Python stack, and then a place in Rust, as a traceback for asyncio's reports.
pub(crate) fn source_traceback<'py>(
    py: Python<'py>,
    stack: Option<Bound<'py, PyAny>>,
    place: &Location<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let stack = stack.unwrap_or_else(|| PyList::empty(py).into_any());
    let stack = import_stack_summary(py)?.call_method1(intern!(py, "from_list"), (stack,))?;
    let frame = (place.file(), place.line(), intern!(py, "<rust>"));
    let frame = import_frame_summary(py)?.call1(frame)?;
    stack.call_method1(intern!(py, "append"), (frame,))?;
    Ok(stack)
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

/// Whether asyncio lets the error stop the loop, instead of storing it in the task that raised it.
pub(crate) fn ends_the_loop(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// An `asyncio.InvalidStateError`.
pub(crate) fn invalid_state(py: Python<'_>, message: impl Into<String>) -> PyErr {
    let error = import_invalid_state_error(py).and_then(|class| class.call1((message.into(),)));
    error.map_or_else(|error| error, PyErr::from_value)
}

/// `error.add_note(note)`, unless it has that note: a program may raise one exception again and again. Requires Python 3.11.
pub(crate) fn add_note(error: &Bound<'_, PyBaseException>, note: &str) -> PyResult<()> {
    let py = error.py();
    let notes = error.getattr_opt(intern!(py, "__notes__"))?;
    if notes.is_some_and(|notes| notes.contains(note).unwrap_or(false)) {
        return Ok(());
    }
    error
        .call_method1(intern!(py, "add_note"), (note,))
        .map(drop)
}

/// The error with which a future or a task ended, without marking it as retrieved. `None` for a future of another library.
pub(crate) fn peek_exception<'py>(
    future: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyBaseException>>> {
    let exception = future.getattr_opt(intern!(future.py(), "_exception"))?;
    Ok(exception.and_then(|it| it.cast_into().ok()))
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

/// The code object of an empty function with this name and source location.
pub(crate) fn empty_code<'py>(
    py: Python<'py>,
    name: &str,
    qualname: &str,
    file: &str,
    line: u32,
) -> PyResult<Bound<'py, PyAny>> {
    let code = import_compile(py)?.call1(("", file, "exec"))?;
    let changes = PyDict::new(py);
    changes.set_item(intern!(py, "co_name"), name)?;
    if py.version_info() >= (3, 11) {
        changes.set_item(intern!(py, "co_qualname"), qualname)?;
    }
    changes.set_item(intern!(py, "co_firstlineno"), line)?;
    code.call_method(intern!(py, "replace"), (), Some(&changes))
}

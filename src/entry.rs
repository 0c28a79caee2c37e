//! Event loops that Rust starts: run them, handle Ctrl-C, and end them as `asyncio.run` does.

mod blocking;
#[cfg(feature = "attributes")]
mod generator;
mod interrupt;
mod main_future;
#[cfg(feature = "tokio-runtime")]
mod one_thread;
#[cfg(feature = "attributes")]
mod program;

use std::future::Future;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use self::blocking::SIGNAL_PATIENCE;
use self::interrupt::Interrupts;
use self::main_future::MainFuture;
use crate::asyncio;
use crate::locals::TaskLocals;
use crate::runtime::Runtime;
use crate::sync::primitive::lock;
use crate::to_python::Plan;
use crate::to_rust::GivenUpTasks;
use crate::user_value::{UserValue, drop_detached};

pub(crate) use blocking::block_on;
#[cfg(feature = "attributes")]
pub(crate) use generator::generator;
#[cfg(feature = "tokio-runtime")]
pub(crate) use one_thread::new_event_loop;
#[cfg(feature = "attributes")]
pub(crate) use program::main;
#[cfg(feature = "testing")]
pub(crate) use program::prepare_interpreter;

/// Runs `future` on a new loop, which `module` makes if one is named, and ends the loop. `tokio` is [`new_event_loop`].
pub(crate) fn run<R, F, T>(py: Python<'_>, module: Option<&str>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    let event_loop = refuse_running_loop(py, "run").and_then(|()| match module {
        #[cfg(feature = "tokio-runtime")]
        Some("tokio") => new_event_loop(py),
        module => asyncio::new_event_loop(py, module),
    });
    let (future, event_loop) = UserValue::new::<R>(future).keep_if_ok(py, event_loop)?;
    let given_up = GivenUpTasks::default();
    let result = asyncio::set_event_loop(py, Some(&event_loop))
        .and_then(|()| run_main::<R, F, T>(&event_loop, future, &given_up));
    first_error(py, result, end(&event_loop, &given_up)).map(UserValue::into_inner)
}

fn refuse_running_loop(py: Python<'_>, function: &str) -> PyResult<()> {
    match asyncio::running_loop(py)? {
        None => Ok(()),
        Some(event_loop) => Err(PyRuntimeError::new_err(format!(
            "{function} cannot run an event loop in this thread, because it already runs {event_loop:?}: use future_into_py and \
             `await` the result, or block_on in a function that is not asynchronous"
        ))),
    }
}

/// Runs `future` on the caller's loop, which stays open.
pub(crate) fn run_until_complete<R, F, T>(event_loop: &Bound<'_, PyAny>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    let py = event_loop.py();
    let refused = refuse_running_loop(py, "run_until_complete");
    let (future, ()) = UserValue::new::<R>(future).keep_if_ok(py, refused)?;
    run_main::<R, F, T>(event_loop, future, &GivenUpTasks::default()).map(UserValue::into_inner)
}

fn run_main<R, F, T>(
    event_loop: &Bound<'_, PyAny>,
    future: F,
    given_up: &GivenUpTasks,
) -> PyResult<UserValue<T>>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    let future = UserValue::new::<R>(future);
    #[cfg(feature = "tokio-runtime")]
    let _here = one_thread::enter(event_loop)?;
    let interrupts = Interrupts::install(event_loop)?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let future = MainFuture::<R, F, T>::new(future.into_inner(), given_up.clone(), sender);
    let result = run_interruptibly::<R, _, _>(event_loop, &interrupts, future, receiver);
    let py = event_loop.py();
    match (result, interrupts.remove()) {
        (Ok(value), Err(interrupt)) => {
            drop_detached(py, value);
            Err(interrupt)
        }
        (result, _) => result,
    }
}

fn run_interruptibly<R, F, T>(
    event_loop: &Bound<'_, PyAny>,
    interrupts: &Interrupts<'_>,
    future: F,
    mut receiver: mpsc::Receiver<PyResult<T>>,
) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<()>> + Send + 'static,
    T: Send + 'static,
{
    let py = event_loop.py();
    let locals = TaskLocals::new(event_loop.clone()).copy_context(py)?;
    let mut plan = Plan::new();
    plan.locals = Some(locals);
    let main = plan.future::<R, _, ()>(py, future)?;
    interrupts.cancel(&main)?;
    let Err(error) = asyncio::run_until_complete(event_loop, &main) else {
        return receive(event_loop, &mut receiver)?.unwrap_or_else(|| {
            Err(PyRuntimeError::new_err(
                "the result of the main future is lost, because Python settled it first: do not call `set_result` or \
                 `set_exception` on it",
            ))
        });
    };
    asyncio::cancel(&main)?;
    if interrupts.count() < 2 {
        drop_detached(py, receive(event_loop, &mut receiver)?);
    }
    if interrupts.count() > 0 && asyncio::is_cancelled_error(py, &error)? {
        return Err(PyKeyboardInterrupt::new_err(()));
    }
    Err(error)
}

/// Waits, detached, for the main future's result. `None` if the future was dropped without one.
fn receive<T: Send>(
    event_loop: &Bound<'_, PyAny>,
    receiver: &mut mpsc::Receiver<T>,
) -> PyResult<Option<T>> {
    let py = event_loop.py();
    #[cfg(feature = "tokio-runtime")]
    if asyncio::turns_of(event_loop)?.is_some() {
        return one_thread::receive(event_loop, receiver);
    }
    loop {
        // `detach` requires what it borrows to be `Sync`, which a receiver is not.
        let receiver = Mutex::new(&mut *receiver);
        match py.detach(|| lock(&receiver).recv_timeout(SIGNAL_PATIENCE)) {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
        }
    }
}

/// Runs the thread's event loop until something calls its `stop()`, then ends it as `asyncio.run` does.
///
/// The loop is the one that `asyncio.set_event_loop` has set for this thread, or a new one. Start the work before this call, for
/// instance with [`future_into_py_with_loop`](crate::tokio::future_into_py_with_loop).
///
/// # Errors
///
/// `KeyboardInterrupt` after Ctrl-C, once everything on the loop has been cancelled and has cleaned up. `RuntimeError` if this
/// thread already runs a loop. Any error that the loop itself raises.
///
/// ```
/// use pyo3::prelude::*;
///
/// # Python::initialize();
/// Python::attach(|py| -> PyResult<()> {
///     let asyncio = py.import("asyncio")?;
///     let event_loop = asyncio.call_method0("new_event_loop")?;
///     asyncio.call_method1("set_event_loop", (&event_loop,))?;
///     event_loop.call_method1("call_soon", (event_loop.getattr("stop")?,))?;
///     pyo3_asyncio::run_forever(py)
/// })
/// # .unwrap();
/// ```
pub fn run_forever(py: Python<'_>) -> PyResult<()> {
    refuse_running_loop(py, "run_forever")?;
    let event_loop = match asyncio::policy_event_loop(py)? {
        Some(event_loop) if !asyncio::is_closed(&event_loop)? => event_loop,
        _ => asyncio::new_event_loop(py, None)?,
    };
    asyncio::set_event_loop(py, Some(&event_loop))?;
    let interrupts = Interrupts::install(&event_loop)?;
    let result = interrupts
        .stop()
        .and_then(|()| asyncio::run_forever(&event_loop));
    let result = match interrupts.count() {
        0 => result,
        _ => Err(PyKeyboardInterrupt::new_err(())),
    };
    let result = match (result, interrupts.remove()) {
        (Ok(()), removed) => removed,
        (result, _) => result,
    };
    first_error(py, result, end(&event_loop, &GivenUpTasks::default()))
}

/// Ends a loop as `asyncio.run` does: cancels the tasks, shuts down the async generators and the executor, closes the loop.
/// A step that fails does not keep the next one from running. Returns the first error.
///
/// The tasks that the end of the main future gave up are cleaning up. They are not cancelled again, which would interrupt that.
fn end(event_loop: &Bound<'_, PyAny>, given_up: &GivenUpTasks) -> PyResult<()> {
    let py = event_loop.py();
    let complete = |future: PyResult<Bound<'_, PyAny>>| {
        asyncio::run_until_complete(event_loop, &future?).map(drop)
    };
    let steps = [
        cancel_all_tasks(event_loop, given_up),
        complete(asyncio::shutdown_asyncgens(event_loop)),
        complete(asyncio::shutdown_default_executor(event_loop)),
        asyncio::set_event_loop(py, None),
        asyncio::close(event_loop),
    ];
    let mut ended = Ok(());
    for step in steps {
        ended = first_error(py, ended, step);
    }
    ended
}

fn cancel_all_tasks(event_loop: &Bound<'_, PyAny>, given_up: &GivenUpTasks) -> PyResult<()> {
    let py = event_loop.py();
    let tasks = asyncio::all_tasks(event_loop)?;
    if tasks.is_empty() {
        return Ok(());
    }
    let cleaning_up = given_up.cancel(py)?;
    for task in &tasks {
        if !cleaning_up.iter().any(|it| it.is(task)) {
            asyncio::cancel(task)?;
        }
    }
    asyncio::run_until_complete(event_loop, &asyncio::gather(py, &tasks)?)?;
    for task in &tasks {
        if let Some(error) = asyncio::exception(task)? {
            let message = "unhandled exception while the event loop was being closed";
            asyncio::call_exception_handler(event_loop, message, &error, Some(task), None)?;
        }
    }
    Ok(())
}

/// Returns the earlier of two errors, and reports the later one as unraisable.
fn first_error<T: Send>(py: Python<'_>, first: PyResult<T>, later: PyResult<()>) -> PyResult<T> {
    match (first, later) {
        (Err(first), Err(later)) => {
            later.write_unraisable(py, None);
            Err(first)
        }
        (first, Ok(())) => first,
        (Ok(value), Err(later)) => {
            drop_detached(py, value);
            Err(later)
        }
    }
}

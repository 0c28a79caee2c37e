//! The life of a loop that Rust starts: run, end as `asyncio.run` does, Ctrl-C in between.

mod blocking;
mod interrupt;
#[cfg(feature = "attributes")]
mod program;

use std::future::Future;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use self::interrupt::Interrupts;
use crate::asyncio;
use crate::locals::TaskLocals;
use crate::runtime::Runtime;
use crate::sync::primitive::lock;
use crate::to_python::Plan;

pub(crate) use blocking::block_on;
#[cfg(feature = "attributes")]
pub(crate) use program::main;
#[cfg(feature = "testing")]
pub(crate) use program::prepare_interpreter;

/// Runs `future` on a new loop, of `module`'s kind if one is named, and ends the loop.
pub(crate) fn run<R, F, T>(py: Python<'_>, module: Option<&str>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    refuse_running_loop(py, "run")?;
    let event_loop = asyncio::new_event_loop(py, module)?;
    let result = asyncio::set_event_loop(py, Some(&event_loop))
        .and_then(|()| run_until_complete::<R, F, T>(&event_loop, future));
    first_error(py, result, end(&event_loop))
}

fn refuse_running_loop(py: Python<'_>, function: &str) -> PyResult<()> {
    match asyncio::running_loop(py)? {
        None => Ok(()),
        Some(event_loop) => Err(PyRuntimeError::new_err(format!(
            "{function} cannot run an event loop in this thread, which runs {event_loop:?}: `await` a future made by \
             future_into_py there; or let that loop wait with block_on, which takes a future that needs no event loop"
        ))),
    }
}

/// Runs `future` on a loop of the caller's, which stays open.
pub(crate) fn run_until_complete<R, F, T>(event_loop: &Bound<'_, PyAny>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    refuse_running_loop(event_loop.py(), "run_until_complete")?;
    let interrupts = Interrupts::install(event_loop)?;
    let result = run_interruptibly::<R, F, T>(event_loop, &interrupts, future);
    match (result, interrupts.remove()) {
        (Ok(_), Err(interrupt)) => Err(interrupt),
        (result, _) => result,
    }
}

fn run_interruptibly<R, F, T>(
    event_loop: &Bound<'_, PyAny>,
    interrupts: &Interrupts<'_>,
    future: F,
) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    let py = event_loop.py();
    let (sender, mut receiver) = mpsc::sync_channel(1);
    let future = async move {
        // Dropped after the future, so that its end tells of the future's end.
        let sender = sender;
        let result = future.await;
        // The receiver waits for this, unless a second Ctrl-C took it away. An error goes this way too: asyncio does not
        // stop a loop for a future that ends with SystemExit, which it expects to have passed through the loop.
        let _ = sender.send(result);
        Ok(())
    };
    let locals = TaskLocals::new(event_loop.clone()).copy_context(py)?;
    let main = Plan::new().locals(locals).future::<R, _, ()>(py, future)?;
    interrupts.cancel(&main)?;
    let Err(error) = asyncio::run_until_complete(event_loop, &main) else {
        return receive(py, &mut receiver)?.unwrap_or_else(|| {
            let message = "the main future was settled from Python: its value is lost";
            Err(PyRuntimeError::new_err(message))
        });
    };
    asyncio::cancel(&main)?;
    if interrupts.count() < 2 {
        receive(py, &mut receiver)?;
    }
    if interrupts.count() > 0 && asyncio::is_cancelled_error(py, &error)? {
        return Err(PyKeyboardInterrupt::new_err(()));
    }
    Err(error)
}

/// Waits, detached, until the main future is dropped, and gives the value that it sent before, if it did.
fn receive<T: Send>(py: Python<'_>, receiver: &mut mpsc::Receiver<T>) -> PyResult<Option<T>> {
    /// How long a Ctrl-C may wait.
    const PATIENCE: Duration = Duration::from_millis(50);
    loop {
        // `detach` asks for a reference that another thread could use, which a receiver's is not.
        let receiver = Mutex::new(&mut *receiver);
        let received = py.detach(|| {
            let receiver = lock(&receiver);
            receiver.recv_timeout(PATIENCE)
        });
        match received {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
        }
    }
}

/// Runs the thread's event loop until something calls its `stop()`, then ends it as `asyncio.run` does.
///
/// The loop is the one that `asyncio.set_event_loop` has set for this thread, or a new one. What is to run on it is started
/// before, with [`future_into_py_with_loop`](crate::tokio::future_into_py_with_loop) for instance.
///
/// # Errors
///
/// `KeyboardInterrupt` after Ctrl-C, when everything on the loop has been cancelled and has cleaned up. `RuntimeError` if a
/// loop runs in this thread already. What the loop itself raises.
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
    first_error(py, result, end(&event_loop))
}

/// Ends a loop as `asyncio.run` does: tasks cancelled, async generators and the executor shut down, the loop closed. Each
/// step is taken whatever became of the one before; the first error comes out.
fn end(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let complete = |future: PyResult<Bound<'_, PyAny>>| {
        asyncio::run_until_complete(event_loop, &future?).map(drop)
    };
    let steps = [
        cancel_all_tasks(event_loop),
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

fn cancel_all_tasks(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let tasks = asyncio::all_tasks(event_loop)?;
    if tasks.is_empty() {
        return Ok(());
    }
    tasks.iter().try_for_each(asyncio::cancel)?;
    asyncio::run_until_complete(event_loop, &asyncio::gather(py, &tasks)?)?;
    for task in &tasks {
        if let Some(error) = asyncio::exception(task)? {
            let message = "unhandled exception while the event loop was being closed";
            asyncio::call_exception_handler(event_loop, message, &error, Some(task), None)?;
        }
    }
    Ok(())
}

/// The earlier error, or the later one. If both failed, the later one is not lost: it is reported as unraisable.
fn first_error<T>(py: Python<'_>, first: PyResult<T>, later: PyResult<()>) -> PyResult<T> {
    match (first, later) {
        (Err(first), Err(later)) => {
            later.write_unraisable(py, None);
            Err(first)
        }
        (first, Ok(())) => first,
        (Ok(_), Err(later)) => Err(later),
    }
}

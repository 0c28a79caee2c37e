//! The life of a loop that Rust starts: run, end as `asyncio.run` does, Ctrl-C in between.

#[cfg(all(feature = "attributes", feature = "tokio-runtime"))]
mod program;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use crate::asyncio;
use crate::locals::TaskLocals;
use crate::runtime::Runtime;
use crate::rust_to_python::future_into_py;

#[cfg(all(feature = "attributes", feature = "tokio-runtime"))]
pub(crate) use program::main;

/// Runs `future` on a new loop, of `module`'s kind if one is named, and ends the loop.
pub(crate) fn run<R, F, T>(py: Python<'_>, module: Option<&str>, future: F) -> PyResult<T>
where
    R: Runtime,
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    if asyncio::running_loop(py)?.is_some() {
        return Err(PyRuntimeError::new_err(
            "run cannot start an event loop in a thread that runs one: `await` the future there instead (future_into_py \
             makes it awaitable), or call run in a thread of its own",
        ));
    }
    let event_loop = asyncio::new_event_loop(py, module)?;
    let result = asyncio::set_event_loop(py, Some(&event_loop))
        .and_then(|()| run_until_complete::<R, F, T>(&event_loop, future));
    first_error(py, result, end(&event_loop))
}

/// Runs `future` on a loop of the caller's, which stays open.
pub(crate) fn run_until_complete<R, F, T>(event_loop: &Bound<'_, PyAny>, future: F) -> PyResult<T>
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
    let main = future_into_py::<R, _, ()>(py, locals, future)?;

    let interrupt = InterruptHandler::install(event_loop, &main)?;
    let result = asyncio::run_until_complete(event_loop, &main);
    let interrupted = interrupt.is_some_and(InterruptHandler::remove);
    let Err(error) = result else {
        return receive(py, &mut receiver)?.unwrap_or_else(|| {
            let message = "the main future was settled from Python: its value is lost";
            Err(PyRuntimeError::new_err(message))
        });
    };
    asyncio::cancel(&main)?;
    receive(py, &mut receiver)?;
    if interrupted && asyncio::is_cancelled_error(py, &error)? {
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
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
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
    if asyncio::running_loop(py)?.is_some() {
        return Err(PyRuntimeError::new_err(
            "run_forever cannot run an event loop in a thread that runs one already",
        ));
    }
    let event_loop = match asyncio::policy_event_loop(py) {
        Ok(event_loop) if !asyncio::is_closed(&event_loop) => event_loop,
        _ => asyncio::new_event_loop(py, None)?,
    };
    asyncio::set_event_loop(py, Some(&event_loop))?;
    let before = if asyncio::interrupt_is_default(py)? {
        // An embedded interpreter starts without a handler. Outside the main thread there is none to be had.
        asyncio::set_interrupt_handler(asyncio::default_int_handler(py)?).ok()
    } else {
        None
    };
    let result = asyncio::run_forever(&event_loop);
    if let Some(before) = before {
        asyncio::set_interrupt_handler(&before)?;
    }
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
            asyncio::call_exception_handler(event_loop, message, &error, task, None)?;
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

/// Ctrl-C while a main future runs: the first cancels it, the second interrupts whatever Python does.
#[pyclass(frozen, module = "pyo3_asyncio")]
struct Interrupt {
    main: Py<PyAny>,
    event_loop: Py<PyAny>,
    interrupted: AtomicBool,
}

#[pymethods]
impl Interrupt {
    #[pyo3(signature = (*_signal_and_frame))]
    fn __call__(&self, py: Python<'_>, _signal_and_frame: &Bound<'_, PyAny>) -> PyResult<()> {
        let main = self.main.bind(py);
        if self.interrupted.swap(true, Ordering::Relaxed) || asyncio::done(main)? {
            return Err(PyKeyboardInterrupt::new_err(()));
        }
        asyncio::cancel(main)?;
        // The loop may be asleep, and a handler's `call_soon` does not wake it.
        asyncio::wake(self.event_loop.bind(py))
    }
}

struct InterruptHandler<'py> {
    handler: Bound<'py, Interrupt>,
    before: Bound<'py, PyAny>,
}

impl<'py> InterruptHandler<'py> {
    /// `None` where Ctrl-C is not ours to handle: outside the main thread, or where the program has its own handler.
    fn install(event_loop: &Bound<'py, PyAny>, main: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = event_loop.py();
        if !asyncio::interrupt_is_default(py)? {
            return Ok(None);
        }
        let handler = Bound::new(
            py,
            Interrupt {
                main: main.clone().unbind(),
                event_loop: event_loop.clone().unbind(),
                interrupted: AtomicBool::new(false),
            },
        )?;
        let before = asyncio::set_interrupt_handler(handler.as_any()).ok();
        Ok(before.map(|before| Self { handler, before }))
    }

    /// Puts the handler from before back, and says whether Ctrl-C came.
    fn remove(self) -> bool {
        if let Err(error) = asyncio::set_interrupt_handler(&self.before) {
            error.write_unraisable(self.before.py(), None);
        }
        self.handler.get().interrupted.load(Ordering::Relaxed)
    }
}

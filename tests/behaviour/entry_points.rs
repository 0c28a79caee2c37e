//! The life of a loop that Rust starts: how `run`, `run_until_complete` and `run_forever` end.
//!
//! Ctrl-C and exit statuses need real processes: see the package `entry_points`.

#[path = "event_loop.rs"]
mod event_loop;
#[path = "interpreter.rs"]
mod interpreter;

use std::ffi::CStr;
use std::future::pending;
use std::sync::{Mutex, Once};

use tokio::sync::oneshot;

use pyo3::exceptions::{PyKeyError, PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyList};
use pyo3_asyncio::err::{LoopClosed, RustPanic};
use pyo3_asyncio::run_forever;

use crate::rt::{
    future_into_py_with_loop, get_current_loop, run, run_coroutine, run_until_complete,
};
use event_loop::LoopKind;

/// Code that leaves leftovers on its loop: a task with a clean-up of several steps, an unfinished async generator, and a
/// default executor.
const LEFTOVERS: &CStr = c"
import asyncio
from concurrent.futures import ThreadPoolExecutor

log = []
kept = []

async def leftover(started):
    try:
        started.set()
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0)
        log.append('task')

async def generator():
    try:
        yield 'first'
        yield 'second'
    finally:
        await asyncio.sleep(0)
        log.append('generator')

async def leave_behind():
    event_loop = asyncio.get_running_loop()
    started = asyncio.Event()
    task = asyncio.ensure_future(leftover(started))
    await started.wait()
    items = generator()
    await items.__anext__()
    executor = ThreadPoolExecutor(1)
    event_loop.set_default_executor(executor)
    await event_loop.run_in_executor(None, log.append, 'executor')
    kept.extend([event_loop, task, items, executor])

def seen():
    event_loop, task, items, executor = kept
    assert event_loop.is_closed()
    assert task.cancelled()
    try:
        executor.submit(print)
    except RuntimeError:
        log.append('executor shut down')
    assert asyncio._get_running_loop() is None
    return log
";

/// A policy whose `new_event_loop` each thread chooses.
const POLICY: &CStr = c"
import asyncio
import threading

class Policy(asyncio.DefaultEventLoopPolicy):
    chosen = threading.local()

    def new_event_loop(self):
        return self.chosen.new_event_loop()

def install():
    asyncio.set_event_loop_policy(Policy())
";

fn python<'py>(py: Python<'py>, code: &CStr) -> PyResult<Bound<'py, PyModule>> {
    let module = PyModule::new(py, "entry_points")?;
    py.run(code, Some(&module.dict()), None)?;
    Ok(module)
}

pub(crate) fn start_runtime() {
    static START: Once = Once::new();
    START.call_once(crate::rt::start);
}

/// Runs a test in a thread whose `asyncio.new_event_loop` makes loops of the given kind.
fn attached(kind: LoopKind, test: fn(Python<'_>) -> PyResult<()>) {
    start_runtime();
    interpreter::initialize(|py| {
        let policy = python(py, POLICY).and_then(|module| module.call_method0("install"));
        policy.expect("Python accepts the policy");
    });
    Python::attach(|py| {
        let new_event_loop = PyCFunction::new_closure(py, None, None, move |args, _| {
            kind.new_event_loop(args.py()).map(Bound::unbind)
        });
        let chosen = new_event_loop.and_then(|new_event_loop| {
            let policy = py
                .import("asyncio")?
                .call_method0("get_event_loop_policy")?;
            policy
                .getattr("chosen")?
                .setattr("new_event_loop", new_event_loop)
        });
        if let Err(error) = chosen.and_then(|()| test(py)) {
            error.display(py);
            panic!("{error}");
        }
    });
}

/// A Rust future that leaves a leftover of each kind.
async fn leave_behind(module: Py<PyModule>) -> PyResult<()> {
    let task = run_coroutine(move |py| module.bind(py).call_method0("leave_behind"));
    task.await.map(drop)
}

fn assert_ended(leftovers: &Bound<'_, PyModule>) -> PyResult<()> {
    let seen: Vec<String> = leftovers.call_method0("seen")?.extract()?;
    assert_eq!(
        seen,
        ["executor", "task", "generator", "executor shut down"]
    );
    Ok(())
}

fn run_returns_the_value_of_the_future(py: Python<'_>) -> PyResult<()> {
    assert_eq!(run(py, async { Ok(42) })?, 42);
    // The value does not cross, so it need not convert to Python.
    struct OfRust(&'static str);
    assert_eq!(run(py, async { Ok(OfRust("value")) })?.0, "value");
    Ok(())
}

fn run_returns_the_error_of_the_future_as_the_same_object(py: Python<'_>) -> PyResult<()> {
    let error = PyKeyError::new_err("the very one");
    let object = error.value(py).clone();
    let error = run(py, async { Err::<(), _>(error) }).unwrap_err();
    assert!(error.value(py).is(&object));
    Ok(())
}

fn run_returns_the_system_exit_of_the_future(py: Python<'_>) -> PyResult<()> {
    let error = run(py, async { Err::<(), _>(PySystemExit::new_err(3)) }).unwrap_err();
    assert!(error.is_instance_of::<PySystemExit>(py), "{error}");
    Ok(())
}

fn run_returns_the_keyboard_interrupt_of_the_future(py: Python<'_>) -> PyResult<()> {
    let error = run(py, async { Err::<(), _>(PyKeyboardInterrupt::new_err(())) }).unwrap_err();
    assert!(error.is_instance_of::<PyKeyboardInterrupt>(py), "{error}");
    Ok(())
}

fn run_returns_the_system_exit_of_a_python_task(py: Python<'_>) -> PyResult<()> {
    let module = python(py, c"async def exits():\n    raise SystemExit(3)")?;
    let exits = module.getattr("exits")?.unbind();
    let error = run(py, async move {
        run_coroutine(move |py| exits.bind(py).call0()).await
    })
    .unwrap_err();
    assert!(error.is_instance_of::<PySystemExit>(py), "{error}");
    Ok(())
}

fn run_returns_rust_panic_if_the_future_panics(py: Python<'_>) -> PyResult<()> {
    let error = run(py, async {
        if true {
            panic!("on purpose");
        }
        Ok(())
    })
    .unwrap_err();
    assert!(error.is_instance_of::<RustPanic>(py), "{error}");
    assert!(error.to_string().contains("on purpose"), "{error}");
    Ok(())
}

fn run_cleans_up_as_asyncio_run_does(py: Python<'_>) -> PyResult<()> {
    let leftovers = python(py, LEFTOVERS)?;
    run(py, leave_behind(leftovers.clone().unbind()))?;
    assert_ended(&leftovers)
}

fn run_cleans_up_as_asyncio_run_does_after_an_error(py: Python<'_>) -> PyResult<()> {
    let leftovers = python(py, LEFTOVERS)?;
    let module = leftovers.clone().unbind();
    let error = run(py, async {
        leave_behind(module).await?;
        Err::<(), _>(PyKeyError::new_err("after all that"))
    })
    .unwrap_err();
    assert!(error.is_instance_of::<PyKeyError>(py), "{error}");
    assert_ended(&leftovers)
}

fn run_reports_the_error_of_a_leftover_task_to_the_exception_handler(
    py: Python<'_>,
) -> PyResult<()> {
    let module = python(
        py,
        c"
import asyncio

reported = []
error = LookupError('in the clean-up')

async def leftover():
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        raise error

async def main():
    event_loop = asyncio.get_running_loop()
    event_loop.set_exception_handler(lambda _, context: reported.append(context['exception']))
    event_loop.kept = asyncio.ensure_future(leftover())
    await asyncio.sleep(0)
",
    )?;
    let main = module.getattr("main")?.unbind();
    run(py, async move {
        run_coroutine(move |py| main.bind(py).call0()).await
    })?;
    let reported: Vec<Bound<'_, PyAny>> = module.getattr("reported")?.extract()?;
    assert_eq!(reported.len(), 1);
    assert!(reported[0].is(module.getattr("error")?));
    Ok(())
}

/// A task that cleans up for so many turns that a second cancel would interrupt it.
const CLEANS_UP: &CStr = c"
import asyncio

log = []

async def inner(started):
    try:
        started()
        await asyncio.get_running_loop().create_future()
    finally:
        for _ in range(100):
            await asyncio.sleep(0)
        log.append('cleaned up')
";

fn a_task_that_the_end_of_the_main_future_gives_up_cleans_up_undisturbed(
    py: Python<'_>,
) -> PyResult<()> {
    let module = python(py, CLEANS_UP)?;
    for _ in 0..20 {
        let inner = module.getattr("inner")?.unbind();
        run(py, async move {
            let (started, has_started) = oneshot::channel();
            let _task = run_coroutine(move |py| inner.bind(py).call1((signal(py, started)?,)));
            has_started.await.expect("the task starts");
            Ok(())
        })?;
    }
    let log: Vec<String> = module.getattr("log")?.extract()?;
    assert_eq!(log, ["cleaned up"; 20]);
    Ok(())
}

/// A Python function that opens the gate.
fn signal(py: Python<'_>, gate: oneshot::Sender<()>) -> PyResult<Bound<'_, PyCFunction>> {
    let gate = Mutex::new(Some(gate));
    PyCFunction::new_closure(py, None, None, move |_, _| {
        let gate = gate.lock().expect("sending does not panic").take();
        gate.is_some_and(|gate| gate.send(()).is_ok())
    })
}

fn run_cancels_a_task_that_swallowed_the_cancel_of_a_rust_future(py: Python<'_>) -> PyResult<()> {
    let module = python(
        py,
        c"
import asyncio

async def stubborn(log, entered):
    try:
        entered()
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        entered()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        log.append('cancelled again')
",
    )?;
    let log = PyList::empty(py);
    let stubborn = module.getattr("stubborn")?.unbind();
    let of_task = log.clone().unbind();
    run(py, async move {
        let (sender, mut entered) = tokio::sync::mpsc::unbounded_channel();
        let mut task = run_coroutine(move |py| {
            let signal = PyCFunction::new_closure(py, None, None, move |_, _| {
                sender.send(()).expect("the test listens");
            })?;
            stubborn.bind(py).call1((of_task, signal))
        });
        tokio::select! {
            outcome = &mut task => panic!("the task ended by itself: {outcome:?}"),
            _ = entered.recv() => {}
        }
        drop(task);
        entered.recv().await;
        // Yield once: the run does not cancel a task again that cleans up because of the last poll.
        tokio::task::yield_now().await;
        Ok(())
    })?;
    assert_eq!(log.extract::<Vec<String>>()?, ["cancelled again"]);
    Ok(())
}

/// Calls a function inside a running loop, and asserts that it is refused with advice.
fn assert_refused_inside_a_running_loop(
    function: &Bound<'_, PyCFunction>,
    advice: &str,
) -> PyResult<()> {
    let py = function.py();
    let module = python(py, c"async def calls(function):\n    function()")?;
    let coroutine = module.call_method1("calls", (function,))?;
    let asyncio = py.import("asyncio")?;
    let error = asyncio.call_method1("run", (coroutine,)).unwrap_err();
    assert!(error.is_instance_of::<PyRuntimeError>(py), "{error}");
    assert!(error.to_string().contains(advice), "{error}");
    Ok(())
}

fn run_inside_a_running_loop_is_refused_with_advice(py: Python<'_>) -> PyResult<()> {
    let nested =
        PyCFunction::new_closure(py, None, None, |args, _| run(args.py(), async { Ok(()) }))?;
    assert_refused_inside_a_running_loop(&nested, "future_into_py")
}

fn run_makes_its_loop_current_only_while_it_runs(py: Python<'_>) -> PyResult<()> {
    let event_loop = run(py, async {
        Python::attach(|py| get_current_loop(py).map(Bound::unbind))
    })?;
    let event_loop = event_loop.bind(py);
    assert!(event_loop.call_method0("is_closed")?.is_truthy()?);
    assert!(get_current_loop(py).is_err());
    Ok(())
}

fn run_until_complete_leaves_the_loop_open(py: Python<'_>) -> PyResult<()> {
    let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
    for expected in [1, 2] {
        let value = run_until_complete(event_loop.clone(), async move { Ok(expected) })?;
        assert_eq!(value, expected);
    }
    assert!(!event_loop.call_method0("is_closed")?.is_truthy()?);
    event_loop.call_method0("close")?;
    Ok(())
}

fn run_until_complete_on_a_closed_loop_returns_loop_closed(py: Python<'_>) -> PyResult<()> {
    let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
    event_loop.call_method0("close")?;
    let error = run_until_complete(event_loop, async { Ok(()) }).unwrap_err();
    assert!(error.is_instance_of::<LoopClosed>(py), "{error}");
    Ok(())
}

fn run_until_complete_drops_the_future_when_the_loop_is_stopped(py: Python<'_>) -> PyResult<()> {
    struct SetInDrop(std::sync::mpsc::Sender<()>);
    impl Drop for SetInDrop {
        fn drop(&mut self) {
            self.0.send(()).expect("the test looks at it");
        }
    }
    let event_loop = py.import("asyncio")?.call_method0("new_event_loop")?;
    event_loop.call_method1("call_soon", (event_loop.getattr("stop")?,))?;
    let (sender, dropped) = std::sync::mpsc::channel();
    let guard = SetInDrop(sender);
    let error = run_until_complete(event_loop.clone(), async move {
        let _guard = guard;
        pending::<PyResult<()>>().await
    })
    .unwrap_err();
    assert!(error.is_instance_of::<PyRuntimeError>(py), "{error}");
    dropped
        .try_recv()
        .expect("the call drops the future before it returns");
    event_loop.call_method0("close")?;
    Ok(())
}

fn run_forever_cleans_up_as_asyncio_run_does(py: Python<'_>) -> PyResult<()> {
    let leftovers = python(py, LEFTOVERS)?;
    let asyncio = py.import("asyncio")?;
    let event_loop = asyncio.call_method0("new_event_loop")?;
    asyncio.call_method1("set_event_loop", (&event_loop,))?;
    let module = leftovers.clone().unbind();
    let started = future_into_py_with_loop(event_loop.clone(), leave_behind(module))?;
    let stop = py.eval(c"lambda loop: lambda _: loop.stop()", None, None)?;
    started.call_method1("add_done_callback", (stop.call1((&event_loop,))?,))?;
    run_forever(py)?;
    assert!(event_loop.call_method0("is_closed")?.is_truthy()?);
    assert!(started.call_method0("done")?.is_truthy()?);
    assert_ended(&leftovers)
}

fn run_forever_inside_a_running_loop_is_refused_with_advice(py: Python<'_>) -> PyResult<()> {
    let nested = PyCFunction::new_closure(py, None, None, |args, _| run_forever(args.py()))?;
    assert_refused_inside_a_running_loop(&nested, "run_forever")
}

/// Turns each function into a module with a test for every kind of loop.
macro_rules! on_every_loop {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn asyncio() {
                attached(LoopKind::Asyncio, super::$name);
            }

            #[test]
            fn asyncio_without_add_reader() {
                attached(LoopKind::AsyncioWithoutAddReader, super::$name);
            }

            #[cfg(unix)]
            #[test]
            fn uvloop() {
                attached(LoopKind::Uvloop, super::$name);
            }

            #[cfg(unix)]
            #[test]
            fn uvloop_without_add_reader() {
                attached(LoopKind::UvloopWithoutAddReader, super::$name);
            }
        }
    )*};
}

on_every_loop! {
    run_returns_the_value_of_the_future,
    run_returns_the_error_of_the_future_as_the_same_object,
    run_returns_the_system_exit_of_the_future,
    run_returns_the_keyboard_interrupt_of_the_future,
    run_returns_the_system_exit_of_a_python_task,
    run_returns_rust_panic_if_the_future_panics,
    run_cleans_up_as_asyncio_run_does,
    run_cleans_up_as_asyncio_run_does_after_an_error,
    run_reports_the_error_of_a_leftover_task_to_the_exception_handler,
    a_task_that_the_end_of_the_main_future_gives_up_cleans_up_undisturbed,
    run_cancels_a_task_that_swallowed_the_cancel_of_a_rust_future,
    run_inside_a_running_loop_is_refused_with_advice,
    run_makes_its_loop_current_only_while_it_runs,
    run_until_complete_leaves_the_loop_open,
    run_until_complete_on_a_closed_loop_returns_loop_closed,
    run_until_complete_drops_the_future_when_the_loop_is_stopped,
    run_forever_cleans_up_as_asyncio_run_does,
    run_forever_inside_a_running_loop_is_refused_with_advice,
}

//! Rust awaits Python.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use pyo3::exceptions::{PyRuntimeError, PySystemExit, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use pyo3_asyncio::err::LoopClosed;
use pyo3_asyncio::{PyTask, TaskLocals, into_future_with_locals, into_future_with_loop};
use tokio::sync::oneshot;

use super::counters::Tracked;
use crate::rt::{future_into_py, get_current_loop, into_future, sleep};

fn is_cancelled_error(error: &PyErr, py: Python<'_>) -> PyResult<bool> {
    let cancelled_error = py.import("asyncio")?.getattr("CancelledError")?;
    error.value(py).is_instance(&cancelled_error)
}

/// Awaits a Python task in a thread that runs neither a loop nor the bridge's runtime.
fn await_in_plain_thread(task: PyTask) -> PyResult<Py<PyAny>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("there is a thread").block_on(task)
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn counting_waker() -> (Waker, Arc<CountWakes>) {
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    (Waker::from(Arc::clone(&wakes)), wakes)
}

const CLEANS_UP: &std::ffi::CStr = c"
import asyncio

async def works(started, cleaned_up):
    started()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        cleaned_up()
";

matrix! {
    fn a_coroutine_returns_its_value(cx: &Cx<'_>) {
        let python = cx.module(c"async def answer():\n    return 42")?;
        let value = cx.block_on(cx.start(python.call_method0("answer")?)?)?;
        assert_eq!(value.extract::<i32>(cx.py)?, 42);
    }

    fn a_rust_future_finds_its_loop(cx: &Cx<'_>) {
        let python = cx.module(c"async def answer():\n    return 42")?;
        let answer = python.getattr("answer")?.unbind();
        let value = cx.block_on(async move {
            let answer = Python::attach(|py| into_future(answer.bind(py).call0()?))?;
            answer.await
        })?;
        assert_eq!(value.extract::<i32>(cx.py)?, 42);
    }

    fn many_tasks_return_their_own_values(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

async def echo(value):
    await asyncio.sleep(0)
    return value
",
        )?;
        // These are more jobs than one drain takes.
        let tasks = (0..3000).map(|value| cx.start(python.call_method1("echo", (value,))?));
        let tasks: Vec<_> = tasks.collect::<PyResult<_>>()?;
        let values = cx.block_on(async {
            let mut values = Vec::new();
            for task in tasks {
                values.push(task.await?);
            }
            Ok(values)
        })?;
        for (expected, value) in values.iter().enumerate() {
            assert_eq!(value.extract::<usize>(cx.py)?, expected);
        }
    }

    fn an_exception_is_the_same_object_with_its_traceback(cx: &Cx<'_>) {
        let python = cx.module(
            c"
error = LookupError('nothing here')

async def deep_down():
    raise error

async def fails():
    await deep_down()
",
        )?;
        let error = cx.block_on(cx.start(python.call_method0("fails")?)?).unwrap_err();
        assert!(error.value(cx.py).is(python.getattr("error")?));
        let traceback = error.traceback(cx.py).expect("a raised error has a traceback").format()?;
        assert!(traceback.contains("in deep_down"), "{traceback}");
    }

    fn an_object_that_is_not_awaitable_raises_type_error_that_names_its_type(cx: &Cx<'_>) {
        let python = cx.module(
            c"
async def coroutine_function(): pass
def generator(): yield
class Thing: pass
",
        )?;
        let wrong = [
            (42_i32.into_pyobject(cx.py)?.into_any(), "int"),
            (cx.py.None().into_bound(cx.py), "NoneType"),
            (python.getattr("coroutine_function")?, "function"),
            (python.call_method0("generator")?, "generator"),
            (python.call_method0("Thing")?, "behaviour.Thing"),
        ];
        for (wrong, name) in wrong {
            let error = cx.start(wrong).unwrap_err();
            assert!(error.is_instance_of::<PyTypeError>(cx.py), "{error}");
            assert!(error.to_string().contains(&format!("of type {name}:")), "{error}");
        }
    }

    fn an_object_with_an_await_method_is_awaited(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

class Deferred:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return 'deferred'
",
        )?;
        let value = cx.block_on(cx.start(python.call_method0("Deferred")?)?)?;
        assert_eq!(value.extract::<String>(cx.py)?, "deferred");
    }

    fn the_next_item_of_an_async_generator_is_awaited(cx: &Cx<'_>) {
        let python = cx.module(c"async def count():\n    yield 1")?;
        let generator = python.call_method0("count")?;
        let first = cx.block_on(cx.start(generator.call_method0("__anext__")?)?)?;
        assert_eq!(first.extract::<i32>(cx.py)?, 1);
        let end = cx.block_on(cx.start(generator.call_method0("__anext__")?)?).unwrap_err();
        assert!(end.is_instance_of::<pyo3::exceptions::PyStopAsyncIteration>(cx.py), "{end}");
    }

    fn a_task_is_awaited(cx: &Cx<'_>) {
        let python = cx.module(c"async def answer():\n    return 42")?;
        let task = cx.event_loop.call_method1("create_task", (python.call_method0("answer")?,))?;
        let value = cx.block_on(cx.start(task)?)?;
        assert_eq!(value.extract::<i32>(cx.py)?, 42);
    }

    fn a_future_is_awaited_whether_it_is_done_or_not(cx: &Cx<'_>) {
        let future = cx.event_loop.call_method0("create_future")?;
        let early = cx.start(future.clone())?;
        cx.catch_up()?;
        future.call_method1("set_result", ("done",))?;
        let late = cx.start(future)?;
        for task in [early, late] {
            assert_eq!(cx.block_on(task)?.extract::<String>(cx.py)?, "done");
        }
    }

    fn a_future_of_another_loop_is_an_error(cx: &Cx<'_>) {
        let other = cx.kind.new_event_loop(cx.py)?;
        let future = other.call_method0("create_future")?;
        let error = cx.block_on(cx.start(future)?).unwrap_err();
        assert!(error.is_instance_of::<PyValueError>(cx.py), "{error}");
        other.call_method0("close")?;
    }

    fn a_cancelled_task_ends_with_cancelled_error(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

async def cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)
",
        )?;
        let task = cx.start(python.call_method0("cancels_itself")?)?;
        let error = cx.block_on(task).unwrap_err();
        assert!(is_cancelled_error(&error, cx.py)?, "{error}");
    }

    fn dropping_the_rust_future_cancels_the_task_which_cleans_up(cx: &Cx<'_>) {
        let python = cx.module(CLEANS_UP)?;
        let (started, has_started) = cx.signal()?;
        let (cleaned_up, has_cleaned_up) = cx.signal()?;
        let task = cx.start(python.call_method1("works", (started, cleaned_up))?)?;
        cx.wait_for(has_started)?;
        drop(task);
        cx.wait_for(has_cleaned_up)?;
    }

    fn losing_a_select_cancels_the_task(cx: &Cx<'_>) {
        let python = cx.module(CLEANS_UP)?;
        let (started, has_started) = cx.signal()?;
        let (cleaned_up, has_cleaned_up) = cx.signal()?;
        let task = cx.start(python.call_method1("works", (started, cleaned_up))?)?;
        cx.block_on(async {
            tokio::select! {
                outcome = task => panic!("the task ended by itself: {outcome:?}"),
                _ = has_started => Ok(()),
            }
        })?;
        cx.wait_for(has_cleaned_up)?;
    }

    fn an_elapsed_timeout_cancels_the_task(cx: &Cx<'_>) {
        let python = cx.module(CLEANS_UP)?;
        let (started, has_started) = cx.signal()?;
        let (cleaned_up, has_cleaned_up) = cx.signal()?;
        let task = cx.start(python.call_method1("works", (started, cleaned_up))?)?;
        cx.wait_for(has_started)?;
        cx.block_on(async {
            tokio::select! {
                outcome = task => panic!("the task ended by itself: {outcome:?}"),
                () = sleep(Duration::ZERO) => Ok(()),
            }
        })?;
        cx.wait_for(has_cleaned_up)?;
    }

    fn dropping_the_rust_future_cancels_an_asyncio_future(cx: &Cx<'_>) {
        let future = cx.event_loop.call_method0("create_future")?;
        let task = cx.start(future.clone())?;
        cx.catch_up()?;
        drop(task);
        cx.catch_up()?;
        assert!(future.call_method0("cancelled")?.is_truthy()?);
    }

    fn a_coroutine_that_is_dropped_before_its_first_step_never_starts(cx: &Cx<'_>) {
        let python = cx.module(
            c"
started = []

async def never_started():
    started.append(True)
",
        )?;
        drop(cx.start(python.call_method0("never_started")?)?);
        cx.catch_up()?;
        assert!(python.getattr("started")?.is_empty()?);
    }

    fn a_dropped_task_that_swallows_its_cancellation_continues(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

async def stubborn(started, ended):
    started()
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    ended()
",
        )?;
        let (started, has_started) = cx.signal()?;
        let (ended, has_ended) = cx.signal()?;
        let task = cx.start(python.call_method1("stubborn", (started, ended))?)?;
        cx.wait_for(has_started)?;
        drop(task);
        cx.wait_for(has_ended)?;
    }

    fn dropping_another_rust_future_cancels_a_task_that_swallowed_a_cancel(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

async def stubborn(started, swallowed, cleaned_up):
    started()
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        swallowed()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        cleaned_up()
",
        )?;
        let (started, has_started) = cx.signal()?;
        let (swallowed, has_swallowed) = cx.signal()?;
        let (cleaned_up, has_cleaned_up) = cx.signal()?;
        let coroutine = python.call_method1("stubborn", (started, swallowed, cleaned_up))?;
        let task = cx.event_loop.call_method1("create_task", (coroutine,))?;
        let first = cx.start(task.clone())?;
        cx.wait_for(has_started)?;
        drop(first);
        cx.wait_for(has_swallowed)?;
        let second = cx.start(task)?;
        cx.catch_up()?;
        drop(second);
        cx.wait_for(has_cleaned_up)?;
    }

    fn an_error_while_a_dropped_task_cleans_up_reaches_the_exception_handler(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

error = LookupError('lost in the clean-up')

async def fails_in_the_end(started):
    started()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        raise error
",
        )?;
        let (started, has_started) = cx.signal()?;
        let task = cx.start(python.call_method1("fails_in_the_end", (started,))?)?;
        cx.wait_for(has_started)?;
        drop(task);
        cx.catch_up()?;
        cx.collect_garbage()?;
        let [(_, error)] = &cx.take_unhandled()?[..] else {
            panic!("one error is reported, once");
        };
        assert!(error.is(python.getattr("error")?));
    }

    fn is_finished_becomes_true_when_the_task_ends(cx: &Cx<'_>) {
        let future = cx.event_loop.call_method0("create_future")?;
        let task = cx.start(future.clone())?;
        cx.catch_up()?;
        assert!(!task.is_finished());
        future.call_method1("set_result", ("done",))?;
        cx.catch_up()?;
        assert!(task.is_finished());
        let outcome = cx.block_on(task)?;
        assert_eq!(outcome.extract::<String>(cx.py)?, "done");
    }

    fn a_detached_task_continues(cx: &Cx<'_>) {
        let python = cx.module(
            c"
import asyncio

async def works(gate, finished):
    await gate
    finished()
",
        )?;
        let gate = cx.event_loop.call_method0("create_future")?;
        let (finished, has_finished) = cx.signal()?;
        cx.start(python.call_method1("works", (&gate, finished))?)?.detach();
        cx.catch_up()?;
        gate.call_method1("set_result", (cx.py.None(),))?;
        cx.wait_for(has_finished)?;
    }

    fn the_error_of_a_detached_task_reaches_the_exception_handler(cx: &Cx<'_>) {
        let python = cx.module(c"
error = LookupError('nobody looks')

async def fails():
    raise error
")?;
        cx.start(python.call_method0("fails")?)?.detach();
        cx.catch_up()?;
        cx.collect_garbage()?;
        let [(_, error)] = &cx.take_unhandled()?[..] else {
            panic!("one error is reported, once");
        };
        assert!(error.is(python.getattr("error")?));
    }

    fn detaching_a_failed_task_reports_its_error_to_the_exception_handler(cx: &Cx<'_>) {
        let python = cx.module(c"
error = LookupError('nobody looks')

async def fails():
    raise error
")?;
        let task = cx.start(python.call_method0("fails")?)?;
        cx.catch_up()?;
        task.detach();
        cx.catch_up()?;
        cx.collect_garbage()?;
        let [(_, error)] = &cx.take_unhandled()?[..] else {
            panic!("one error is reported, once");
        };
        assert!(error.is(python.getattr("error")?));
    }

    fn a_detached_task_of_a_closed_loop_is_freed(cx: &Cx<'_>) {
        let python = cx.module(c"
class Held: pass

async def holds(held, gate):
    await gate
")?;
        let held = python.call_method0("Held")?;
        let watch = PyWeakrefReference::new(&held)?;
        let gate = cx.event_loop.call_method0("create_future")?;
        cx.start(python.call_method1("holds", (held, gate))?)?.detach();
        cx.catch_up()?;
        assert!(watch.upgrade().is_some());
        cx.event_loop.call_method0("close")?;
        cx.collect_garbage()?;
        assert!(watch.upgrade().is_none());
        let [(message, _)] = &cx.take_unhandled()?[..] else {
            panic!("asyncio reports the task, once");
        };
        assert_eq!(message, "Task was destroyed but it is pending!");
    }

    fn a_task_that_is_dropped_too_late_to_be_cancelled_is_freed_without_a_report(cx: &Cx<'_>) {
        let python = cx.module(c"
class Held: pass

async def holds(held, gate):
    await gate
")?;
        let held = python.call_method0("Held")?;
        let watch = PyWeakrefReference::new(&held)?;
        let gate = cx.event_loop.call_method0("create_future")?;
        let task = cx.start(python.call_method1("holds", (held, gate))?)?;
        cx.catch_up()?;
        drop(task);
        cx.event_loop.call_method0("close")?;
        cx.collect_garbage()?;
        assert!(watch.upgrade().is_none());
        assert!(cx.take_unhandled()?.is_empty());
    }

    fn a_closed_loop_raises_loop_closed_at_the_call(cx: &Cx<'_>) {
        let python = cx.module(c"async def never_started(): pass")?;
        cx.event_loop.call_method0("close")?;
        let error = cx.start(python.call_method0("never_started")?).unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        assert!(error.is_instance_of::<PyRuntimeError>(cx.py), "asyncio raises RuntimeError for a closed loop too");
        assert!(error.to_string().contains("is closed"), "{error}");
    }

    fn closing_the_loop_raises_loop_closed_in_a_waiting_thread(cx: &Cx<'_>) {
        let future = cx.event_loop.call_method0("create_future")?;
        let task = cx.start(future)?;
        cx.catch_up()?;
        let waiting = std::thread::spawn(|| await_in_plain_thread(task));
        cx.event_loop.call_method0("close")?;
        let outcome = cx.py.detach(|| waiting.join().expect("the thread does not panic"));
        let error = outcome.unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
    }

    fn closing_the_loop_before_the_first_step_raises_loop_closed_in_a_waiting_thread(cx: &Cx<'_>) {
        let python = cx.module(c"async def never_started(): pass")?;
        let task = cx.start(python.call_method0("never_started")?)?;
        let waiting = std::thread::spawn(|| await_in_plain_thread(task));
        cx.event_loop.call_method0("close")?;
        let outcome = cx.py.detach(|| waiting.join().expect("the thread does not panic"));
        let error = outcome.unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
    }

    fn a_coroutine_runs_in_the_context_of_its_caller_or_of_its_locals(cx: &Cx<'_>) {
        let python = cx.module(c"
from contextvars import ContextVar, copy_context

variable = ContextVar('variable', default='default')

async def read():
    return variable.get()

def context_with(value):
    context = copy_context()
    context.run(variable.set, value)
    return context
")?;
        let variable = python.getattr("variable")?;
        let token = variable.call_method1("set", ("the caller's",))?;
        let of_thread = cx.start(python.call_method0("read")?)?;
        variable.call_method1("reset", (token,))?;
        let context = python.call_method1("context_with", ("the locals'",))?;
        let locals = TaskLocals::new(cx.event_loop.clone()).with_context(context);
        let of_locals = into_future_with_locals(&locals, python.call_method0("read")?)?;
        assert_eq!(cx.block_on(of_thread)?.extract::<String>(cx.py)?, "the caller's");
        assert_eq!(cx.block_on(of_locals)?.extract::<String>(cx.py)?, "the locals'");
    }

    fn a_rust_future_keeps_the_context_of_the_task_that_called_it(cx: &Cx<'_>) {
        let python = cx.module(c"
from contextvars import ContextVar

variable = ContextVar('variable', default='default')

async def read():
    return variable.get()

async def main(through_rust):
    variable.set('of main')
    awaited = through_rust(read)
    variable.set('too late')
    return await awaited
")?;
        let counters = Arc::clone(&cx.counters);
        let through_rust = pyo3::types::PyCFunction::new_closure(
            cx.py,
            None,
            None,
            move |args, _| -> PyResult<Py<PyAny>> {
                let read = args.get_item(0)?.unbind();
                let future = Tracked::new(&counters, async move {
                    yield_now().await;
                    Python::attach(|py| into_future(read.bind(py).call0()?))?.await
                });
                future_into_py(args.py(), future).map(Bound::unbind)
            },
        )?;
        let seen = cx.run(&python.call_method1("main", (through_rust,))?)?;
        assert_eq!(seen.extract::<String>()?, "of main");
    }

    fn siblings_do_not_see_each_others_changes(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio
from contextvars import ContextVar

variable = ContextVar('variable', default='default')

async def write_and_read(value):
    before = variable.get()
    variable.set(value)
    await asyncio.sleep(0)
    return before, variable.get()
")?;
        let locals = TaskLocals::new(cx.event_loop.clone()).copy_context(cx.py)?;
        let tasks = ["one", "other"].map(|value| {
            let coroutine = python.call_method1("write_and_read", (value,))?;
            Ok::<_, PyErr>((value, into_future_with_locals(&locals, coroutine)?))
        });
        for started in tasks {
            let (value, task) = started?;
            let (before, after): (String, String) = cx.block_on(task)?.extract(cx.py)?;
            assert_eq!((before.as_str(), after.as_str()), ("default", value));
        }
        let here: String = python.getattr("variable")?.call_method0("get")?.extract()?;
        assert_eq!(here, "default");
    }

    fn a_plain_rust_thread_awaits_with_the_loop_or_with_locals(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio
import threading

async def where():
    await asyncio.sleep(0)
    return threading.get_ident()
")?;
        let function = python.getattr("where")?.unbind();
        let event_loop = cx.event_loop.clone().unbind();
        let (done, is_done) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let ways = [
                |py: Python<'_>, event_loop: Py<PyAny>, where_: Bound<'_, PyAny>| {
                    into_future_with_loop(event_loop.into_bound(py), where_)
                },
                |_: Python<'_>, event_loop: Py<PyAny>, where_: Bound<'_, PyAny>| {
                    into_future_with_locals(&event_loop.into(), where_)
                },
            ];
            let seen = ways.map(|start| {
                let task = Python::attach(|py| {
                    start(py, event_loop.clone_ref(py), function.bind(py).call0()?)
                })?;
                let ident = await_in_plain_thread(task)?;
                Python::attach(|py| ident.extract::<u64>(py))
            });
            Python::attach(|_| drop((function, event_loop)));
            done.send(()).expect("the loop runs until then");
            seen
        });
        cx.wait_for(is_done)?;
        let seen = cx.py.detach(|| thread.join().expect("the thread does not panic"));
        let here: u64 = cx.py.import("threading")?.call_method0("get_ident")?.extract()?;
        for ident in seen {
            assert_eq!(ident?, here, "the coroutine runs on the loop's thread");
        }
    }

    fn only_the_waker_of_the_last_poll_is_woken(cx: &Cx<'_>) {
        let future = cx.event_loop.call_method0("create_future")?;
        let mut task = cx.start(future.clone())?;
        let (first, woken_first) = counting_waker();
        let (second, woken_second) = counting_waker();
        for waker in [&first, &second, &second] {
            let poll = Pin::new(&mut task).poll(&mut Context::from_waker(waker));
            assert!(poll.is_pending());
            cx.catch_up()?;
        }
        future.call_method1("set_result", (42,))?;
        cx.catch_up()?;
        assert_eq!(woken_first.0.load(SeqCst), 0);
        assert_eq!(woken_second.0.load(SeqCst), 1);
        let poll = pin!(task).poll(&mut Context::from_waker(&first));
        let Poll::Ready(value) = poll else {
            panic!("the task is ready after its wake-up");
        };
        assert_eq!(value?.extract::<i32>(cx.py)?, 42);
    }

    fn system_exit_leaves_the_loop_and_reaches_rust(cx: &Cx<'_>) {
        let python = cx.module(c"async def exits():\n    raise SystemExit(3)")?;
        let task = cx.start(python.call_method0("exits")?)?;
        let forever = cx.event_loop.call_method0("create_future")?;
        let error = cx.run(&forever).unwrap_err();
        assert!(error.is_instance_of::<PySystemExit>(cx.py), "{error}");
        let error = cx.block_on(async { Ok(task.await) })?.unwrap_err();
        assert!(error.is_instance_of::<PySystemExit>(cx.py), "{error}");
    }

    fn get_current_loop_works_in_functions_that_a_python_task_calls(cx: &Cx<'_>) {
        let python = cx.module(c"async def calls(function):\n    return function()")?;
        let current_loop = pyo3::types::PyCFunction::new_closure(cx.py, None, None, |args, _| {
            get_current_loop(args.py()).map(Bound::unbind)
        })?;
        let task = cx.start(python.call_method1("calls", (current_loop,))?)?;
        assert!(cx.block_on(task)?.bind(cx.py).is(&cx.event_loop));
    }
}

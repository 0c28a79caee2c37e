//! Python awaits Rust.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use pyo3::exceptions::{PyKeyError, PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyWeakrefMethods, PyWeakrefReference};
use pyo3_asyncio::TaskLocals;
use pyo3_asyncio::custom::Runtime as _;
use pyo3_asyncio::err::{LoopClosed, RustPanic};
use tokio::sync::oneshot;

use super::counters::{PATIENCE, Tracked};
use crate::rt;
use crate::rt::{
    future_into_py, future_into_py_with_locals, future_into_py_with_loop, get_current_loop,
    into_future, run, sleep,
};

/// A future that panics when it is dropped.
struct PanicsInDrop {
    ready: bool,
    polled: Option<oneshot::Sender<()>>,
}

impl Future for PanicsInDrop {
    type Output = PyResult<i32>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(polled) = self.polled.take() {
            let _ = polled.send(());
        }
        if self.ready {
            Poll::Ready(Ok(42))
        } else {
            Poll::Pending
        }
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("on purpose: in drop");
    }
}

fn is_cancelled_error(error: &PyErr, py: Python<'_>) -> PyResult<bool> {
    let cancelled_error = py.import("asyncio")?.getattr("CancelledError")?;
    error.value(py).is_instance(&cancelled_error)
}

/// The functions of the guide's example: `nap` sleeps, and `wrap` awaits another function from Rust.
#[pyfunction]
fn nap(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        sleep(Duration::from_secs_f64(seconds)).await;
        Ok(seconds)
    })
}

#[pyfunction]
fn wrap(py: Python<'_>, function: Py<PyAny>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        let slept = Python::attach(|py| into_future(function.bind(py).call1((seconds,))?))?;
        slept.await
    })
}

matrix! {
    fn a_rust_future_returns_its_value(cx: &Cx<'_>) {
        let future = cx.spawn(async { Ok(42) })?;
        assert_eq!(cx.run(&future)?.extract::<i32>()?, 42);
    }

    fn many_futures_return_their_own_values(cx: &Cx<'_>) {
        let futures = (0..3000).map(|value| cx.spawn(async move { Ok(value) }));
        let futures: Vec<_> = futures.collect::<PyResult<_>>()?;
        let python = cx.module(c"
import asyncio

async def all_of(futures):
    return await asyncio.gather(*futures)
")?;
        let values = cx.run(&python.call_method1("all_of", (futures,))?)?;
        assert!(values.extract::<Vec<usize>>()?.into_iter().eq(0..3000));
    }

    fn the_rust_future_is_dropped_before_python_sees_its_result(cx: &Cx<'_>) {
        let future = cx.spawn(async {
            yield_now().await;
            Ok(())
        })?;
        cx.run(&future)?;
        let counts = cx.counters.counts();
        assert_eq!(counts.dropped, counts.made);
    }

    fn a_result_is_posted_while_another_thread_holds_the_interpreter(cx: &Cx<'_>) {
        let future = cx.spawn(async { Ok(42) })?;
        let (sender, receiver) = std::sync::mpsc::channel();
        // On a runtime with one thread, this task runs after the result was posted.
        rt::Runtime::spawn(async move { sender.send(()).expect("the test listens") });
        // Stay attached here: a runtime that had to attach could not run the task.
        receiver.recv_timeout(PATIENCE).expect("the runtime runs without the interpreter");
        assert_eq!(cx.run(&future)?.extract::<i32>()?, 42);
    }

    fn an_error_is_raised_as_the_same_object(cx: &Cx<'_>) {
        let error = PyKeyError::new_err("the very one");
        let object = error.value(cx.py).clone();
        let future = cx.spawn(async { Err::<(), _>(error) })?;
        let error = cx.run(&future).unwrap_err();
        assert!(error.value(cx.py).is(&object));
    }

    fn a_panic_raises_rust_panic_with_its_text(cx: &Cx<'_>) {
        let future = cx.spawn(async {
            yield_now().await;
            if true {
                panic!("on purpose: while polling");
            }
            Ok(())
        })?;
        let error = cx.run(&future).unwrap_err();
        assert!(error.is_instance_of::<RustPanic>(cx.py), "{error}");
        assert!(error.to_string().contains("on purpose: while polling"), "{error}");
    }

    fn a_panic_in_the_drop_of_a_finished_future_raises_rust_panic(cx: &Cx<'_>) {
        let future = cx.spawn(PanicsInDrop { ready: true, polled: None })?;
        let error = cx.run(&future).unwrap_err();
        assert!(error.is_instance_of::<RustPanic>(cx.py), "{error}");
        assert!(error.to_string().contains("on purpose: in drop"), "{error}");
    }

    fn a_panic_in_the_drop_of_a_cancelled_future_does_not_affect_the_next_one(cx: &Cx<'_>) {
        let (polled, is_polled) = oneshot::channel();
        let future = cx.spawn(PanicsInDrop { ready: false, polled: Some(polled) })?;
        cx.wait_for(is_polled)?;
        future.call_method0("cancel")?;
        let error = cx.run(&future).unwrap_err();
        assert!(is_cancelled_error(&error, cx.py)?, "{error}");
        cx.counters.wait_for_drops(cx.py, cx.counters.counts().made);
        let future = cx.spawn(async { Ok(42) })?;
        assert_eq!(cx.run(&future)?.extract::<i32>()?, 42);
    }

    fn cancelling_drops_the_rust_future_and_never_polls_it_again(cx: &Cx<'_>) {
        let (kept, waker) = oneshot::channel::<Waker>();
        let mut kept = Some(kept);
        let counters = Arc::default();
        let future = Tracked::new(&counters, poll_fn(move |task| {
            if let Some(kept) = kept.take() {
                kept.send(task.waker().clone()).expect("the test waits for it");
            }
            Poll::<PyResult<()>>::Pending
        }));
        let future = future_into_py_with_loop(cx.event_loop.clone(), future)?;
        let waker = cx.wait_for(waker)?;
        assert!(future.call_method0("cancel")?.is_truthy()?);
        counters.wait_for_drops(cx.py, 1);
        waker.wake();
        assert!(future.call_method0("cancelled")?.is_truthy()?);
        assert!(!future.call_method0("cancel")?.is_truthy()?, "it is cancelled already");
        assert_eq!(counters.counts().polled, 1);
    }

    fn cancelling_the_awaiting_task_drops_the_rust_future(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def awaits(future):
    await future
")?;
        let (polled, is_polled) = oneshot::channel();
        let future = cx.spawn(async {
            polled.send(()).expect("the test waits for it");
            pending::<PyResult<()>>().await
        })?;
        let task = python.call_method1("awaits", (future,))?;
        let task = cx.event_loop.call_method1("create_task", (task,))?;
        cx.wait_for(is_polled)?;
        let made = cx.counters.counts().made;
        task.call_method1("cancel", ("enough",))?;
        let error = cx.run(&task).unwrap_err();
        assert!(is_cancelled_error(&error, cx.py)?, "{error}");
        cx.counters.wait_for_drops(cx.py, made);
    }

    fn setting_a_result_from_python_drops_the_rust_future(cx: &Cx<'_>) {
        let (polled, is_polled) = oneshot::channel();
        let future = cx.spawn(async {
            polled.send(()).expect("the test waits for it");
            pending::<PyResult<()>>().await
        })?;
        cx.wait_for(is_polled)?;
        let made = cx.counters.counts().made;
        future.call_method1("set_result", ("from Python",))?;
        cx.counters.wait_for_drops(cx.py, made);
        assert_eq!(cx.run(&future)?.extract::<String>()?, "from Python");
    }

    fn a_rust_future_that_ends_with_cancelled_error_is_cancelled(cx: &Cx<'_>) {
        let cancelled = cx.py.import("asyncio")?.getattr("CancelledError")?.call1(("by Rust",))?;
        let error = PyErr::from_value(cancelled);
        let future = cx.spawn(async { Err::<(), _>(error) })?;
        let error = cx.run(&future).unwrap_err();
        assert!(is_cancelled_error(&error, cx.py)?, "{error}");
        assert!(error.to_string().contains("by Rust"), "{error}");
        assert!(future.call_method0("cancelled")?.is_truthy()?);
    }

    fn run_uses_a_new_loop(cx: &Cx<'_>) {
        let python = cx.module(c"async def answer(rust):\n    return await rust")?;
        let answer = python.getattr("answer")?.unbind();
        let value = run(cx.py, cx.tracked(async move {
            sleep(Duration::from_millis(1)).await;
            let python = Python::attach(|py| {
                let rust = future_into_py(py, async {
                    yield_now().await;
                    Ok(42)
                })?;
                into_future(answer.bind(py).call1((rust,))?)
            })?;
            let value = python.await?;
            Python::attach(|py| {
                drop(answer);
                value.extract::<i32>(py)
            })
        }))?;
        assert_eq!(value, 42);
        assert!(get_current_loop(cx.py).is_err());
    }

    fn exported_functions_call_each_other_through_rust(cx: &Cx<'_>) {
        let python = cx.module(c"
async def main(wrap, function):
    return await wrap(function, 0.001)
")?;
        let nap = wrap_pyfunction!(nap, cx.py)?;
        let wrap = wrap_pyfunction!(wrap, cx.py)?;
        let slept = cx.run(&python.call_method1("main", (wrap, nap))?)?;
        assert_eq!(slept.extract::<f64>()?, 0.001);
    }

    fn a_rust_future_finds_its_loop_in_every_poll(cx: &Cx<'_>) {
        let expected = cx.event_loop.clone().unbind();
        let future = cx.spawn(async move {
            for _ in 0..20 {
                Python::attach(|py| {
                    assert!(get_current_loop(py)?.is(&expected));
                    Ok::<_, PyErr>(())
                })?;
                yield_now().await;
            }
            Python::attach(|_| drop(expected));
            Ok(())
        })?;
        cx.run(&future)?;
    }

    fn without_a_loop_the_error_names_the_functions_that_take_one(cx: &Cx<'_>) {
        let awaitable = cx.event_loop.call_method0("create_future")?;
        let error = into_future(awaitable).unwrap_err();
        assert!(error.is_instance_of::<PyRuntimeError>(cx.py), "{error}");
        assert!(error.to_string().contains("future_into_py"), "{error}");
        assert!(error.to_string().contains("_with_loop"), "{error}");
    }

    fn a_future_that_is_made_without_a_loop_starts_when_it_is_awaited(cx: &Cx<'_>) {
        let coroutine = future_into_py(cx.py, cx.tracked(async { Ok("late") }))?;
        let value: String = cx.run(&coroutine)?.extract()?;
        assert_eq!(value, "late");
    }

    fn a_closed_loop_raises_loop_closed_at_the_call(cx: &Cx<'_>) {
        cx.event_loop.call_method0("close")?;
        let error = cx.spawn(async { Ok(()) }).unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        let locals = TaskLocals::new(cx.event_loop.clone());
        let future = cx.tracked(async { Ok(()) });
        let error = future_into_py_with_locals(cx.py, locals, future).unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
    }

    fn another_thread_can_make_a_future_for_the_loop(cx: &Cx<'_>) {
        let event_loop = cx.event_loop.clone().unbind();
        let future = cx.tracked(async {
            yield_now().await;
            Ok("from elsewhere")
        });
        let thread = std::thread::spawn(|| {
            Python::attach(|py| {
                let event_loop = event_loop.into_bound(py);
                future_into_py_with_loop(event_loop, future).map(Bound::unbind)
            })
        });
        let future = cx.py.detach(|| thread.join().expect("the thread does not panic"))?;
        let future = future.into_bound(cx.py);
        assert!(future.call_method0("get_loop")?.is(&cx.event_loop));
        assert_eq!(cx.run(&future)?.extract::<String>()?, "from elsewhere");
    }

    fn the_first_call_of_another_thread_wakes_a_sleeping_loop(cx: &Cx<'_>) {
        let (slept, is_asleep) = cx.signal()?;
        let awake = cx.event_loop.call_method0("create_future")?;
        // After this the loop sleeps, before the bridge has installed anything in it.
        cx.event_loop.call_method1("call_soon", (slept,))?;
        let event_loop = cx.event_loop.clone().unbind();
        let wake = awake.clone().unbind();
        let counters = Arc::clone(&cx.counters);
        let thread = std::thread::spawn(move || {
            is_asleep.blocking_recv().expect("the loop runs");
            Python::attach(|py| {
                let set_result = wake.getattr(py, "set_result")?;
                let future = Tracked::new(&counters, async { Ok("awake") });
                let future = future_into_py_with_loop(event_loop.into_bound(py), future)?;
                let settled = PyCFunction::new_closure(py, None, None, move |args, _| {
                    let result = args.get_item(0)?.call_method0("result")?;
                    set_result.bind(args.py()).call1((result,)).map(Bound::unbind)
                })?;
                future.call_method1("add_done_callback", (settled,)).map(drop)
            })
        });
        assert_eq!(cx.run(&awake)?.extract::<String>()?, "awake");
        cx.py.detach(|| thread.join().expect("the thread does not panic"))?;
    }

    fn an_abandoned_future_continues(cx: &Cx<'_>) {
        let (open, gate) = oneshot::channel();
        let (finished, is_finished) = oneshot::channel();
        drop(cx.spawn(async {
            gate.await.expect("the gate is opened");
            finished.send(()).expect("the test waits for it");
            Ok(())
        })?);
        cx.collect_garbage()?;
        open.send(()).expect("the future goes on");
        cx.wait_for(is_finished)?;
    }

    fn an_abandoned_future_that_fails_is_reported_to_the_exception_handler(cx: &Cx<'_>) {
        let (open, gate) = oneshot::channel();
        let error = PyKeyError::new_err("nobody looks");
        let object = error.value(cx.py).clone();
        drop(cx.spawn(async {
            gate.await.expect("the gate is opened");
            Err::<(), _>(error)
        })?);
        let made = cx.counters.counts().made;
        open.send(()).expect("the future goes on");
        cx.counters.wait_for_drops(cx.py, made);
        // The result is posted a moment after the future is dropped.
        let reported = loop {
            cx.catch_up()?;
            let reported = cx.take_unhandled()?;
            if !reported.is_empty() {
                break reported;
            }
        };
        let [(message, error)] = &reported[..] else {
            panic!("one error is reported, once: {reported:?}");
        };
        assert!(error.is(&object));
        assert!(message.contains("exception was never retrieved"), "{message}");
    }

    fn dropping_a_failed_future_reports_its_unretrieved_error(cx: &Cx<'_>) {
        let error = PyKeyError::new_err("nobody looks");
        let object = error.value(cx.py).clone();
        let future = cx.spawn(async { Err::<(), _>(error) })?;
        while !future.call_method0("done")?.is_truthy()? {
            cx.catch_up()?;
        }
        assert!(cx.take_unhandled()?.is_empty());
        drop(future);
        let [(_, error)] = &cx.take_unhandled()?[..] else {
            panic!("one error is reported, once");
        };
        assert!(error.is(&object));
    }

    fn a_result_for_a_closed_loop_is_dropped_silently(cx: &Cx<'_>) {
        let (open, gate) = oneshot::channel();
        let future = cx.spawn(async {
            gate.await.expect("the gate is opened");
            Err::<(), _>(PyKeyError::new_err("too late"))
        })?;
        let python = cx.module(c"def ignore(future): pass")?;
        future.call_method1("add_done_callback", (python.getattr("ignore")?,))?;
        let made = cx.counters.counts().made;
        cx.event_loop.call_method0("close")?;
        open.send(()).expect("the future goes on");
        cx.counters.wait_for_drops(cx.py, made);
    }

    fn closing_the_loop_frees_the_callbacks_of_its_pending_futures(cx: &Cx<'_>) {
        let python = cx.module(c"
class Held: pass

def callback_with(held):
    def callback(future):
        held
    return callback
")?;
        let held = python.call_method0("Held")?;
        let watch = PyWeakrefReference::new(&held)?;
        let (_open, gate) = oneshot::channel::<()>();
        let future = cx.spawn(async {
            gate.await.expect("the gate is opened");
            Ok(())
        })?;
        let callback = python.call_method1("callback_with", (held,))?;
        future.call_method1("add_done_callback", (callback,))?;
        drop(future);
        cx.catch_up()?;
        cx.collect_garbage()?;
        assert!(watch.upgrade().is_some(), "the callback waits for the result");
        cx.event_loop.call_method0("close")?;
        cx.collect_garbage()?;
        assert!(watch.upgrade().is_none(), "no callback can run after the loop has closed");
    }

    fn an_interrupt_in_one_task_does_not_end_the_next(cx: &Cx<'_>) {
        let python = cx.module(c"
async def interrupted(future):
    await future
    raise KeyboardInterrupt

async def undisturbed(future):
    return await future
")?;
        let (opened, gates): (Vec<_>, Vec<_>) = (0..2).map(|_| oneshot::channel::<()>()).unzip();
        let mut futures = gates.into_iter().map(|gate| cx.spawn(async {
            gate.await.expect("the gate is opened");
            Ok("undisturbed")
        }));
        let mut future = || futures.next().expect("there are two")
            .map(|future| (future,));
        let create_task = |coroutine| cx.event_loop.call_method1("create_task", (coroutine,));
        let first = create_task(python.call_method1("interrupted", future()?)?)?;
        let second = create_task(python.call_method1("undisturbed", future()?)?)?;
        cx.catch_up()?;
        for open in opened {
            open.send(()).expect("the future goes on");
        }
        let forever = cx.event_loop.call_method0("create_future")?;
        let error = cx.run(&forever).unwrap_err();
        assert!(error.is_instance_of::<PyKeyboardInterrupt>(cx.py), "{error}");
        assert_eq!(cx.run(&second)?.extract::<String>()?, "undisturbed");
        let error = first.call_method0("exception")?;
        assert!(error.is_instance_of::<PyKeyboardInterrupt>());
    }

    fn awaiting_a_future_twice_returns_its_result_twice(cx: &Cx<'_>) {
        let python = cx.module(c"
async def twice(future):
    return await future, await future
")?;
        let calls = Arc::new(Mutex::new(0));
        let future = cx.spawn({
            let calls = Arc::clone(&calls);
            async move {
                *calls.lock().expect("counting does not panic") += 1;
                Ok("once")
            }
        })?;
        let (first, second): (String, String) =
            cx.run(&python.call_method1("twice", (future,))?)?.extract()?;
        assert_eq!((first.as_str(), second.as_str()), ("once", "once"));
        assert_eq!(*calls.lock().expect("counting does not panic"), 1);
    }
}

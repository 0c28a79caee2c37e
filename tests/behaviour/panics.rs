//! A panic in user code becomes an error of its awaiter, and affects nothing else.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_asyncio::err::{LoopClosed, RustPanic};
use pyo3_asyncio::tokio::{
    into_cancellable_coroutine, local_future_into_py, run, run_until_complete,
};
use tokio::sync::oneshot;

/// A value, or a part of a future, whose drop panics and whose conversion succeeds.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("on purpose: in drop");
    }
}

impl<'py> IntoPyObject<'py> for PanicsInDrop {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        std::mem::forget(self);
        Ok(py.None().into_bound(py))
    }
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("on purpose: in a waker");
    }
}

#[track_caller]
fn assert_panicked(py: Python<'_>, error: &PyErr, text: &str) {
    assert!(error.is_instance_of::<RustPanic>(py), "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

/// Awaits a Python task in a thread that runs neither a loop nor the bridge's runtime.
fn await_in_plain_thread(task: impl Future<Output = PyResult<Py<PyAny>>>) -> PyResult<Py<PyAny>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("there is a thread").block_on(task)
}

fn panics() -> PyResult<()> {
    panic!("on purpose: here")
}

/// A Python function that panics.
fn panicking_function(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    PyCFunction::new_closure(py, None, None, |_, _| panics())
}

const PYTHON: &std::ffi::CStr = c"
import asyncio

async def calls(function):
    await asyncio.sleep(0)
    function()

async def awaits(make):
    return await make()

async def all_of(*futures):
    return await asyncio.gather(*futures, return_exceptions=True)
";

matrix! {
    fn a_panic_carries_its_file_and_line(cx: &Cx<'_>) {
        let future = cx.spawn(async {
            tokio::task::yield_now().await;
            panics()
        })?;
        let error = cx.run(&future).unwrap_err();
        let error = error.value(cx.py);
        assert_eq!(error.getattr("message")?.extract::<String>()?, "on purpose: here");
        let file: String = error.getattr("file")?.extract()?;
        assert!(file.ends_with("panics.rs"), "{file}");
        let line: usize = error.getattr("line")?.extract()?;
        let at = include_str!("panics.rs").lines().position(|it| it.contains("panic!(\"on purpose: here"));
        assert_eq!(Some(line), at.map(|it| it + 1));
        let shown = if cx.py.version_info() >= (3, 11) {
            error.getattr("__notes__")?.get_item(0)?.extract::<String>()?
        } else {
            error.str()?.extract()?
        };
        assert!(shown.contains(&format!("panicked at {file}:{line}:")), "{shown}");
    }

    fn a_resumed_panic_has_no_file(cx: &Cx<'_>) {
        let future = cx.spawn(async {
            let joined = std::thread::spawn(panics).join();
            std::panic::resume_unwind(joined.unwrap_err());
            #[expect(unreachable_code, reason = "the future has a type")]
            Ok(())
        })?;
        let error = cx.run(&future).unwrap_err();
        assert_panicked(cx.py, &error, "on purpose: here");
        assert!(error.value(cx.py).getattr("file")?.is_none());
    }

    fn a_future_and_its_value_can_both_panic_in_drop(cx: &Cx<'_>) {
        struct Both(PanicsInDrop);
        impl Future for Both {
            type Output = PyResult<PanicsInDrop>;
            fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
                Poll::Ready(Ok(PanicsInDrop))
            }
        }
        let error = cx.run(&cx.spawn(Both(PanicsInDrop))?).unwrap_err();
        assert_panicked(cx.py, &error, "on purpose: in drop");
    }

    fn values_that_panic_while_a_loop_closes_do_not_suppress_loop_closed(cx: &Cx<'_>) {
        for _ in 0..2 {
            drop(cx.spawn(async { Ok(PanicsInDrop) })?);
        }
        let future = cx.event_loop.call_method0("create_future")?;
        let task = cx.start(future)?;
        cx.counters.wait_for_drops(cx.py, cx.counters.counts().made);
        cx.event_loop.call_method0("close")?;
        let error = cx.py.detach(|| await_in_plain_thread(task)).unwrap_err();
        assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
    }

    fn a_panicking_waker_does_not_affect_the_loop_or_other_awaiters(cx: &Cx<'_>) {
        let python = cx.module(PYTHON)?;
        let future = cx.event_loop.call_method0("create_future")?;
        let mut unlucky = pin!(cx.start(future.clone())?);
        let waker = Waker::from(Arc::new(PanickingWaker));
        let polled = unlucky.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let others = [cx.start(future.clone())?, cx.start(future.clone())?];
        cx.catch_up()?;
        cx.event_loop.call_method1("call_soon", (future.getattr("set_result")?, 42))?;
        for other in others {
            assert_eq!(cx.block_on(other)?.extract::<i32>(cx.py)?, 42);
        }
        let polled = unlucky.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))), "the outcome waits for the next poll");
        let futures = (cx.spawn(async { Ok(1) })?, cx.spawn(async { Ok(2) })?);
        cx.run(&python.call_method1("all_of", futures)?)?;
    }

    fn a_waker_that_panics_while_a_loop_closes_does_not_suppress_loop_closed(cx: &Cx<'_>) {
        let future = cx.event_loop.call_method0("create_future")?;
        let mut tasks = Vec::new();
        for _ in 0..3 {
            tasks.push(Box::pin(cx.start(future.clone())?));
        }
        let waker = Waker::from(Arc::new(PanickingWaker));
        for task in &mut tasks {
            assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        cx.catch_up()?;
        cx.event_loop.call_method0("close")?;
        for task in tasks {
            let error = cx.py.detach(|| await_in_plain_thread(task)).unwrap_err();
            assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        }
    }

    fn cancel_does_not_raise_the_panic_of_a_waker(cx: &Cx<'_>) {
        let (polled, is_polled) = oneshot::channel();
        let (open, gate) = oneshot::channel::<()>();
        let coroutine = into_cancellable_coroutine(cx.py, |mut cancel| async move {
            let waker = Waker::from(Arc::new(PanickingWaker));
            let mut cancelled = Box::pin(cancel.cancelled());
            poll_fn(|_| {
                let polled = cancelled.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                Poll::Ready(())
            })
            .await;
            drop(cancelled);
            let _ = polled.send(());
            let _ = gate.await;
            PyResult::<()>::Err(cancel.cancelled().await)
        })?;
        let task = cx.event_loop.call_method1("create_task", (coroutine,))?;
        cx.block_on(async { is_polled.await.map_err(|_| PyRuntimeError::new_err("it is polled")) })?;
        assert!(task.call_method0("cancel")?.is_truthy()?);
        cx.catch_up()?;
        open.send(()).expect("the future waits");
        let error = cx.run(&task).unwrap_err();
        assert!(error.is_instance(cx.py, &cx.py.import("asyncio")?.getattr("CancelledError")?), "{error}");
    }

    fn a_rust_panic_that_ends_a_python_task_reaches_its_awaiter(cx: &Cx<'_>) {
        let python = cx.module(PYTHON)?;
        let calls = python.call_method1("calls", (panicking_function(cx.py)?,))?;
        let error = cx.block_on(cx.start(calls)?).unwrap_err();
        assert!(error.to_string().contains("on purpose: here"), "{error}");
        // This is PyO3's own exception, which `await` raises in Python too.
        assert!(error.is_instance_of::<pyo3::panic::PanicException>(cx.py), "{error}");
    }

    fn a_panicking_done_callback_is_reported_and_the_next_one_runs(cx: &Cx<'_>) {
        let (open, gate) = oneshot::channel();
        let future = cx.spawn(async move {
            gate.await.map_err(|_| PyRuntimeError::new_err("the gate is opened"))?;
            Ok(())
        })?;
        let panics = PyCFunction::new_closure(cx.py, None, None, |_, _| panics())?;
        let (signal, signalled) = cx.signal()?;
        let signal = PyCFunction::new_closure(cx.py, None, None, {
            let signal = signal.unbind();
            move |args, _| signal.call0(args.py())
        })?;
        future.call_method1("add_done_callback", (panics,))?;
        future.call_method1("add_done_callback", (signal,))?;
        open.send(()).expect("the future waits");
        cx.wait_for(signalled)?;
        let unhandled = cx.take_unhandled()?;
        assert_eq!(unhandled.len(), 1, "{unhandled:?}");
        assert!(unhandled[0].0.contains("Exception in callback"), "{unhandled:?}");
        assert!(unhandled[0].1.to_string().contains("on purpose: here"), "{unhandled:?}");
    }

    fn the_loop_survives_a_panicking_local_future(cx: &Cx<'_>) {
        let python = cx.module(PYTHON)?;
        let polls = PyCFunction::new_closure(cx.py, None, None, |args, _| {
            let future = local_future_into_py(args.py(), async {
                let not_send = Rc::new(());
                tokio::task::yield_now().await;
                drop(not_send);
                panics()
            });
            future.map(Bound::unbind)
        })?;
        let drops = PyCFunction::new_closure(cx.py, None, None, |args, _| {
            let future = local_future_into_py(args.py(), async {
                let _in_drop = (PanicsInDrop, Rc::new(()));
                tokio::task::yield_now().await;
                Ok(7)
            });
            future.map(Bound::unbind)
        })?;
        let error = cx.run(&python.call_method1("awaits", (polls,))?).unwrap_err();
        assert_panicked(cx.py, &error, "on purpose: here");
        let error = cx.run(&python.call_method1("awaits", (drops,))?).unwrap_err();
        assert_panicked(cx.py, &error, "on purpose: in drop");
        assert_eq!(cx.run(&cx.spawn(async { Ok(42) })?)?.extract::<i32>()?, 42);
    }

    fn a_panicking_main_future_ends_only_its_own_run(cx: &Cx<'_>) {
        let panicking = run_until_complete::<_, ()>(cx.event_loop.clone(), async { panics() });
        assert_panicked(cx.py, &panicking.unwrap_err(), "on purpose: here");
        let dropping = run_until_complete::<_, i32>(cx.event_loop.clone(), async {
            let _in_drop = PanicsInDrop;
            tokio::task::yield_now().await;
            Ok(7)
        });
        assert_panicked(cx.py, &dropping.unwrap_err(), "on purpose: in drop");
        assert_eq!(run_until_complete(cx.event_loop.clone(), async { Ok(42) })?, 42);
        assert_panicked(cx.py, &run::<_, ()>(cx.py, async { panics() }).unwrap_err(), "on purpose: here");
        assert_eq!(run(cx.py, async { Ok(42) })?, 42);
    }

    fn a_panic_poisons_no_lock_of_other_futures(cx: &Cx<'_>) {
        let shared = Arc::new(Mutex::new(0));
        let futures = (0..20).map(|number| {
            let shared = Arc::clone(&shared);
            cx.spawn(async move {
                tokio::task::yield_now().await;
                if number % 2 == 0 {
                    panics()?;
                }
                *shared.lock().expect("no panic is under the lock") += 1;
                Ok(())
            })
        });
        let futures = futures.collect::<PyResult<Vec<_>>>()?;
        let all_of = cx.module(PYTHON)?.getattr("all_of")?;
        let results = cx.run(&all_of.call1(pyo3::types::PyTuple::new(cx.py, futures)?)?)?;
        let panicked = results.try_iter()?.filter(|it| {
            it.as_ref().is_ok_and(|it| it.is_instance_of::<RustPanic>())
        });
        assert_eq!(panicked.count(), 10);
        assert_eq!(*shared.lock().expect("no panic is under the lock"), 10);
    }
}

//! Rust calls Python on the thread of the event loop.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};

use pyo3::exceptions::{PyKeyError, PyKeyboardInterrupt, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3_asyncio::TaskLocals;
use pyo3_asyncio::err::{LoopClosed, RustPanic};

use super::counters::PATIENCE;
use crate::rt::{call_soon, run_coroutine};

fn locals(cx: &super::harness::Cx<'_>) -> PyResult<TaskLocals> {
    TaskLocals::new(cx.event_loop.clone()).copy_context(cx.py)
}

/// Notes the thread of its drop.
struct NotesDrop(mpsc::Sender<ThreadId>);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        // The test may have ended by a panic.
        let _ = self.0.send(thread::current().id());
    }
}

/// Runs something in another thread while this one is attached, and so keeps every other thread from attaching.
fn while_attached<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    let done = is_done.recv_timeout(PATIENCE);
    done.expect("the other thread does not wait for the interpreter")
}

matrix! {
    fn a_function_is_called_on_the_loop_and_what_it_returns_is_awaited_there(cx: &Cx<'_>) {
        let python = cx.module(c"async def doubled(number):\n    return 2 * number")?;
        let doubled = python.getattr("doubled")?.unbind();
        let home = thread::current().id();
        let value = cx.block_on(async move {
            let value = run_coroutine(move |py| {
                assert_eq!(thread::current().id(), home);
                doubled.bind(py).call1((21,))
            });
            value.extract::<i32>().await
        })?;
        assert_eq!(value, 42);
    }

    fn a_call_gives_what_the_function_returns(cx: &Cx<'_>) {
        let home = thread::current().id();
        let value = cx.block_on(async move {
            let value = call_soon(move |_| Ok((thread::current().id() == home, "returned"))).await?;
            let error = call_soon(|_| Err::<(), _>(PyKeyError::new_err("raised"))).await.unwrap_err();
            Python::attach(|py| assert!(error.is_instance_of::<PyKeyError>(py), "{error}"));
            Ok(value)
        })?;
        assert_eq!(value, (true, "returned"));
    }

    fn calls_of_one_thread_run_in_their_order_before_anything_that_they_await(cx: &Cx<'_>) {
        let python = cx.module(c"log = []\nasync def awaited(number):\n    log.append(-number)")?;
        let (log, awaited) = (python.getattr("log")?.unbind(), python.getattr("awaited")?.unbind());
        let of_calls = log.clone_ref(cx.py);
        cx.block_on(async move {
            let calls: Vec<_> = (1..=100)
                .map(|number| {
                    let (log, awaited) = Python::attach(|py| (of_calls.clone_ref(py), awaited.clone_ref(py)));
                    run_coroutine(move |py| {
                        log.bind(py).call_method1("append", (number,))?;
                        awaited.bind(py).call1((number,))
                    })
                })
                .collect();
            for call in calls {
                call.await?;
            }
            Ok(())
        })?;
        let log: Vec<i32> = log.extract(cx.py)?;
        assert!(log.iter().copied().filter(|&it| it > 0).eq(1..=100), "{log:?}");
        let position = |entry| log.iter().position(|&it| it == entry);
        assert!((1..=100).all(|number| position(number) < position(-number)), "{log:?}");
    }

    fn a_call_that_is_dropped_before_it_runs_drops_its_function_uncalled_on_the_loop(cx: &Cx<'_>) {
        let locals = locals(cx)?;
        let (sender, dropped) = mpsc::channel();
        let dropping = sender.clone();
        while_attached(move || {
            let notes = NotesDrop(dropping.clone());
            drop(locals.call_soon(move |_| -> PyResult<()> { unreachable!("{:p} was dropped", &notes) }));
            let notes = NotesDrop(dropping);
            drop(locals.run_coroutine(move |_| unreachable!("{:p} was dropped", &notes)));
        });
        assert!(dropped.try_recv().is_err(), "the loop has not turned yet");
        cx.catch_up()?;
        assert_eq!(dropped.try_iter().collect::<Vec<_>>(), [thread::current().id(); 2]);
        drop(sender);
    }

    fn a_task_whose_future_is_dropped_is_cancelled(cx: &Cx<'_>) {
        let (started, has_started) = cx.signal()?;
        let (ended, has_ended) = cx.signal()?;
        let python = cx.module(c"
import asyncio

async def works(started, ended):
    started()
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        ended()
        raise
")?;
        let works = python.getattr("works")?.unbind();
        let (started, ended) = (started.unbind(), ended.unbind());
        let locals = locals(cx)?;
        let task = locals.run_coroutine(move |py| works.bind(py).call1((started, ended)));
        cx.wait_for(has_started)?;
        drop(task.extract::<i32>());
        cx.wait_for(has_ended)?;
    }

    fn a_detached_call_runs_and_its_error_reaches_the_exception_handler(cx: &Cx<'_>) {
        locals(cx)?.call_soon(|_| Err::<(), _>(PyKeyError::new_err("detached"))).detach();
        cx.catch_up()?;
        let unhandled = cx.take_unhandled()?;
        assert_eq!(unhandled.len(), 1, "{unhandled:?}");
        assert!(unhandled[0].1.is_instance_of::<PyKeyError>());
    }

    fn a_panic_of_the_function_or_of_the_conversion_is_a_rust_panic(cx: &Cx<'_>) {
        let python = cx.module(c"async def answer():\n    return 42")?;
        let answer = python.getattr("answer")?.unbind();
        let errors = cx.block_on(async move {
            let called = call_soon(|_| -> PyResult<()> { panic!("on purpose: called") }).await;
            let made = run_coroutine(|_| panic!("on purpose: made")).await;
            let converted = run_coroutine(move |py| answer.bind(py).call0());
            let converted = converted.and_then(|_, _| -> PyResult<()> { panic!("on purpose: converted") });
            Ok([called.unwrap_err(), made.map(drop).unwrap_err(), converted.await.unwrap_err()])
        })?;
        for (error, text) in errors.iter().zip(["called", "made", "converted"]) {
            assert!(error.is_instance_of::<RustPanic>(cx.py), "{error}");
            assert!(error.to_string().contains(&format!("on purpose: {text}")), "{error}");
        }
    }

    fn a_value_of_another_type_is_a_type_error(cx: &Cx<'_>) {
        let python = cx.module(c"async def answer():\n    return 'forty-two'")?;
        let answer = python.getattr("answer")?.unbind();
        let errors = cx.block_on(async move {
            let extracted = run_coroutine(move |py| answer.bind(py).call0()).extract::<i32>();
            let not_awaitable = run_coroutine(|py| Ok(py.None().into_bound(py)));
            Ok([extracted.await.unwrap_err(), not_awaitable.await.map(drop).unwrap_err()])
        })?;
        for error in errors {
            assert!(error.is_instance_of::<PyTypeError>(cx.py), "{error}");
        }
    }

    fn a_value_that_is_there_already_is_converted_on_the_loop(cx: &Cx<'_>) {
        let home = thread::current().id();
        let task = locals(cx)?.run_coroutine(|py| py.import("asyncio")?.call_method1("sleep", (0, 42)));
        while !task.is_finished() {
            cx.catch_up()?;
        }
        let task = task.and_then(move |_, value| Ok((thread::current().id() == home, value.extract::<i32>()?)));
        assert_eq!(cx.block_on(task)?, (true, 42));
    }

    fn the_error_of_a_converted_task_that_is_dropped_reaches_the_exception_handler(cx: &Cx<'_>) {
        let python = cx.module(c"async def fails():\n    raise KeyError('dropped')\nasync def answer():\n    return 42")?;
        let fails = python.getattr("fails")?.unbind();
        let answer = python.getattr("answer")?.unbind();
        let failed = locals(cx)?.run_coroutine(move |py| fails.bind(py).call0()).extract::<i32>();
        let refused = locals(cx)?.run_coroutine(move |py| answer.bind(py).call0());
        let refused = refused.and_then(|_, _| Err::<(), _>(PyKeyError::new_err("refused")));
        cx.catch_up()?;
        cx.catch_up()?;
        assert!(cx.take_unhandled()?.is_empty());
        drop((failed, refused));
        cx.catch_up()?;
        let unhandled = cx.take_unhandled()?;
        assert_eq!(unhandled.len(), 2, "{unhandled:?}");
        assert!(unhandled.iter().all(|(_, error)| error.is_instance_of::<PyKeyError>()));
    }

    fn a_conversion_after_the_loop_closed_gives_loop_closed(cx: &Cx<'_>) {
        let locals = locals(cx)?;
        let start = || locals.run_coroutine(|py| py.import("asyncio")?.call_method1("sleep", (0, 42)));
        let (before, after) = (start(), start());
        while !before.is_finished() || !after.is_finished() {
            cx.catch_up()?;
        }
        // The loop closes before it comes to the job of the first.
        let before = before.extract::<i32>();
        cx.event_loop.call_method0("close")?;
        for converted in [before, after.extract::<i32>()] {
            let error = futures_lite::future::block_on(converted).unwrap_err();
            assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        }
    }

    fn an_outcome_that_was_taken_cannot_be_converted(cx: &Cx<'_>) {
        let mut task = locals(cx)?.run_coroutine(|py| py.import("asyncio")?.call_method1("sleep", (0, 42)));
        while !task.is_finished() {
            cx.catch_up()?;
        }
        futures_lite::future::block_on(&mut task)?;
        let panic = catch_unwind(AssertUnwindSafe(|| task.extract::<i32>())).unwrap_err();
        let text = panic.downcast_ref::<String>().expect("the panic has a text");
        assert!(text.contains("not polled again"), "{text}");
    }

    fn a_call_to_a_closed_loop_gives_loop_closed_and_drops_what_it_owns(cx: &Cx<'_>) {
        let locals = locals(cx)?;
        let (sender, dropped) = mpsc::channel();
        let late = {
            let notes = NotesDrop(sender.clone());
            locals.call_soon(move |_| -> PyResult<()> { unreachable!("{:p} was dropped", &notes) })
        };
        let late_task = {
            let notes = NotesDrop(sender.clone());
            locals.run_coroutine(move |_| unreachable!("{:p} was dropped", &notes)).extract::<i32>()
        };
        cx.event_loop.call_method0("close")?;
        assert_eq!(dropped.try_iter().count(), 2);
        let notes = NotesDrop(sender);
        let refused = locals.call_soon(move |_| -> PyResult<()> { unreachable!("{:p} was dropped", &notes) });
        assert_eq!(dropped.try_iter().count(), 1);
        let errors = [
            futures_lite::future::block_on(late).unwrap_err(),
            futures_lite::future::block_on(late_task).unwrap_err(),
            futures_lite::future::block_on(refused).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        }
    }

    fn a_call_without_a_loop_says_what_to_do(cx: &Cx<'_>) {
        for error in [
            futures_lite::future::block_on(call_soon(|_| Ok(()))).unwrap_err(),
            futures_lite::future::block_on(run_coroutine(|_| unreachable!("no loop calls it"))).map(drop).unwrap_err(),
        ] {
            assert!(error.is_instance_of::<PyRuntimeError>(cx.py), "{error}");
            assert!(error.to_string().contains("TaskLocals"), "{error}");
        }
    }

    fn a_keyboard_interrupt_of_the_function_ends_the_loop(cx: &Cx<'_>) {
        let call = locals(cx)?.call_soon(|_| Err::<(), _>(PyKeyboardInterrupt::new_err(())));
        let error = cx.block_on(pending::<PyResult<()>>()).unwrap_err();
        assert!(error.is_instance_of::<PyKeyboardInterrupt>(cx.py), "{error}");
        let error = cx.block_on(call).unwrap_err();
        assert!(error.is_instance_of::<PyKeyboardInterrupt>(cx.py), "{error}");
    }

    fn the_function_and_what_it_returns_run_in_a_copy_of_the_context(cx: &Cx<'_>) {
        let python = cx.module(c"
import contextvars
variable = contextvars.ContextVar('variable', default='unset')

async def get():
    return variable.get()
")?;
        let variable = python.getattr("variable")?;
        let token = variable.call_method1("set", ("caller's",))?;
        let locals = locals(cx)?;
        variable.call_method1("reset", (token,))?;
        let get = python.getattr("get")?.unbind();
        let of_call = variable.clone().unbind();
        let seen = locals.run_coroutine(move |py| {
            let variable = of_call.bind(py);
            assert_eq!(variable.call_method0("get")?.extract::<String>()?, "caller's");
            variable.call_method1("set", ("function's",))?;
            get.bind(py).call0()
        });
        assert_eq!(cx.block_on(seen.extract::<String>())?, "function's");
        assert_eq!(variable.call_method0("get")?.extract::<String>()?, "unset");
        let variable = variable.unbind();
        let again = locals.call_soon(move |py| variable.bind(py).call_method0("get")?.extract::<String>());
        assert_eq!(cx.block_on(again)?, "caller's");
    }

    fn the_log_of_debug_mode_has_the_name_of_a_function_that_blocks_the_loop(cx: &Cx<'_>) {
        if !cx.set_debug()? {
            return Ok(());
        }
        fn is_slow(_: Python<'_>) -> PyResult<()> {
            Ok(())
        }
        fn starts_slowly(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
            py.import("asyncio")?.call_method1("sleep", (0,))
        }
        let python = cx.module(
            c"import logging, threading
home = threading.get_ident()
class Log(logging.Handler):
    messages = []
    def emit(self, record):
        if record.thread == home:
            self.messages.append(record.getMessage())
log = Log()
logging.getLogger('asyncio').addHandler(log)
def remove():
    logging.getLogger('asyncio').removeHandler(log)",
        )?;
        // Every function is too slow.
        cx.event_loop.setattr("slow_callback_duration", 0.0)?;
        cx.block_on(async {
            call_soon(is_slow).await?;
            run_coroutine(starts_slowly).await
        })?;
        cx.event_loop.call_method1("set_debug", (false,))?;
        python.call_method0("remove")?;
        let messages: Vec<String> = python.getattr("log")?.getattr("messages")?.extract()?;
        for function in ["is_slow", "starts_slowly"] {
            let is_named = |message: &&String| message.contains(function) && message.starts_with("Executing ");
            assert_eq!(messages.iter().filter(is_named).count(), 1, "{function}: {messages:?}");
        }
    }

    fn a_future_that_is_not_send_calls_the_loop_that_polls_it(cx: &Cx<'_>) {
        let value = cx.spawn_local(|| async {
            let not_send = std::rc::Rc::new(1);
            let called = call_soon(|_| Ok(20)).await?;
            let awaited = run_coroutine(|py| py.import("asyncio")?.call_method1("sleep", (0, 21)));
            Ok(*not_send + called + awaited.extract::<i32>().await?)
        })?;
        assert_eq!(cx.run(&value)?.extract::<i32>()?, 42);
    }

    fn no_thread_attaches_to_call_to_clone_or_to_drop(cx: &Cx<'_>) {
        let locals = locals(cx)?;
        let calls = while_attached(move || {
            let owned = locals.clone();
            let call = locals.call_soon(move |py| Ok(owned.event_loop(py).is_none()));
            let dropped = locals.run_coroutine(|py| Ok(py.None().into_bound(py)));
            drop(dropped.extract::<i32>());
            drop(locals);
            call
        });
        assert!(!cx.block_on(calls)?);
    }

    fn what_a_call_owns_is_used_by_one_thread_at_a_time(cx: &Cx<'_>) {
        let locals = locals(cx)?;
        let sum = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (locals, sum) = (locals.clone(), Arc::clone(&sum));
                thread::spawn(move || {
                    for _ in 0..100 {
                        let sum = Arc::clone(&sum);
                        locals.call_soon(move |_| {
                            *sum.try_lock().expect("the loop is one thread") += 1;
                            Ok(())
                        }).detach();
                    }
                })
            })
            .collect();
        for thread in threads {
            cx.py.detach(|| thread.join()).expect("posting does not panic");
        }
        while *sum.lock().expect("adding does not panic") < 400 {
            cx.catch_up()?;
        }
    }
}

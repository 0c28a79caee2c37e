//! Rust iterates over Python async generators.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use futures_lite::{StreamExt, future};
use pyo3::exceptions::{
    PyKeyError, PyKeyboardInterrupt, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3_asyncio::err::{LoopClosed, RustPanic};
use pyo3_asyncio::tokio::{into_stream_with_locals_v1, into_stream_with_locals_v2};
use pyo3_asyncio::{PyStream, TaskLocals, into_stream_with_locals};

use super::counters::PATIENCE;
use super::harness::Cx;
use crate::rt::{call_soon, into_stream, run_async_generator};

fn locals(cx: &Cx<'_>) -> PyResult<TaskLocals> {
    TaskLocals::new(cx.event_loop.clone()).copy_context(cx.py)
}

/// The stream of what `function` of the Python code returns.
fn stream(cx: &Cx<'_>, python: &Bound<'_, PyModule>, function: &str) -> PyResult<PyStream> {
    into_stream_with_locals(&locals(cx)?, python.call_method0(function)?)
}

/// All items, and the error after them.
async fn collect<T: Send + 'static>(mut stream: PyStream<T>) -> PyResult<(Vec<T>, Option<PyErr>)> {
    let mut items = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(item) => items.push(item),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the last item");
                return Ok((items, Some(error)));
            }
        }
    }
    assert!(stream.next().await.is_none(), "an end is the end");
    Ok((items, None))
}

/// A generator that yields 1 and 2, then waits, and notes how it ends. Its clean-up awaits.
const WAITS: &std::ffi::CStr = c"
import asyncio
log = []

async def waits():
    try:
        yield 1
        yield 2
        await asyncio.get_running_loop().create_future()
    except BaseException as error:
        log.append(type(error).__name__)
        raise
    finally:
        await asyncio.sleep(0)
        log.append('cleaned up')
";

fn log(python: &Bound<'_, PyModule>) -> PyResult<Vec<String>> {
    python.getattr("log")?.extract()
}

/// Runs the loop until something holds.
fn until(cx: &Cx<'_>, holds: impl Fn() -> PyResult<bool>) -> PyResult<()> {
    while !holds()? {
        cx.catch_up()?;
    }
    Ok(())
}

matrix! {
    fn the_items_of_a_generator_come_in_their_order(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def numbers():
    for number in range(1000):
        if number % 7 == 0:
            await asyncio.sleep(0)
        yield number
")?;
        let home = thread::current().id();
        let numbers = stream(cx, &python, "numbers")?.and_then(move |_, number| {
            assert_eq!(thread::current().id(), home);
            number.extract::<i32>()
        });
        let (numbers, error) = cx.block_on(collect(numbers))?;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(numbers, Vec::from_iter(0..1000));
    }

    fn any_async_iterable_will_do_and_is_closed_at_its_end(cx: &Cx<'_>) {
        let python = cx.module(c"
log = []

class Iterator:
    # It has no `__aiter__`, which `async for` does not need.
    number = 0

    async def __anext__(self):
        self.number += 1
        if self.number > 3:
            raise StopAsyncIteration
        return self.number

    async def aclose(self):
        log.append('closed')

class Iterable:
    def __aiter__(self):
        return Iterator()
")?;
        let numbers = stream(cx, &python, "Iterable")?.extract::<i32>();
        let (numbers, error) = cx.block_on(collect(numbers))?;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(log(&python)?, ["closed"]);
    }

    fn an_error_comes_after_the_items_before_it_and_is_the_last(cx: &Cx<'_>) {
        let python = cx.module(c"
async def fails():
    yield 1
    yield 2
    raise KeyError('raised')
")?;
        let (numbers, error) = cx.block_on(collect(stream(cx, &python, "fails")?.extract::<i32>()))?;
        assert_eq!(numbers, [1, 2]);
        let error = error.expect("the generator fails");
        assert!(error.is_instance_of::<PyKeyError>(cx.py), "{error}");
        assert!(error.traceback(cx.py).expect("Python raised it").format()?.contains("in fails"));
    }

    fn a_conversion_that_fails_ends_the_iteration_with_its_error(cx: &Cx<'_>) {
        let python = cx.module(c"
log = []

async def mixed():
    try:
        yield 1
        yield 'two'
        yield 3
    finally:
        log.append('cleaned up')
")?;
        let extracted = stream(cx, &python, "mixed")?.extract::<i32>();
        let panicking = stream(cx, &python, "mixed")?.and_then(|_, item| -> PyResult<i32> {
            Ok(item.extract().unwrap_or_else(|_| panic!("on purpose: converted")))
        });
        for (stream, is_right) in [
            (extracted, (|error, py| error.is_instance_of::<PyTypeError>(py)) as fn(&PyErr, Python<'_>) -> bool),
            (panicking, |error, py| error.is_instance_of::<RustPanic>(py)),
        ] {
            let (numbers, error) = cx.block_on(collect(stream))?;
            assert_eq!(numbers, [1]);
            let error = error.expect("the second item cannot be converted");
            assert!(is_right(&error, cx.py), "{error}");
        }
        until(cx, || Ok(log(&python)?.len() == 2))?;
    }

    fn nothing_runs_before_the_first_poll(cx: &Cx<'_>) {
        let python = cx.module(c"
log = []

async def notes():
    log.append('started')
    yield 1
")?;
        let mut polled = stream(cx, &python, "notes")?;
        drop(stream(cx, &python, "notes")?);
        let closed = stream(cx, &python, "notes")?;
        cx.block_on(closed.close())?;
        let uncalled = locals(cx)?.run_async_generator(|_| unreachable!("the stream is not polled"));
        drop(uncalled);
        cx.catch_up()?;
        assert!(log(&python)?.is_empty());
        cx.block_on(async move { polled.next().await.expect("there is an item") })?;
        assert_eq!(log(&python)?, ["started"]);
    }

    fn dropping_a_stream_cancels_the_item_that_it_waits_for_and_the_generator_cleans_up(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let mut numbers = stream(cx, &python, "waits")?;
        cx.block_on(async move {
            numbers.next().await.expect("there is an item")?;
            numbers.next().await.expect("there is an item")?;
            assert!(future::poll_once(numbers.next()).await.is_none());
            Ok(())
        })?;
        until(cx, || Ok(log(&python)?.len() == 2))?;
        assert_eq!(log(&python)?, ["CancelledError", "cleaned up"]);
    }

    fn dropping_a_stream_that_is_full_closes_the_generator(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let mut numbers = stream(cx, &python, "waits")?.capacity(1);
        let numbers = cx.block_on(async move {
            numbers.next().await.expect("there is an item")?;
            Ok(numbers)
        })?;
        cx.catch_up()?;
        cx.catch_up()?;
        // It has made the second item, which nobody has taken.
        assert!(log(&python)?.is_empty());
        drop(numbers);
        until(cx, || Ok(log(&python)?.len() == 2))?;
        assert_eq!(log(&python)?, ["GeneratorExit", "cleaned up"]);
    }

    fn what_the_clean_up_of_a_dropped_stream_raises_reaches_the_exception_handler(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def fails():
    try:
        yield 1
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0)
        raise KeyError('cleaning up')
")?;
        let mut stream = stream(cx, &python, "fails")?;
        cx.block_on(async move { stream.next().await.expect("there is an item") })?;
        let mut unhandled = Vec::new();
        while unhandled.is_empty() {
            cx.catch_up()?;
            unhandled = cx.take_unhandled()?;
        }
        assert_eq!(unhandled.len(), 1, "{unhandled:?}");
        assert!(unhandled[0].1.is_instance_of::<PyKeyError>());
    }

    fn a_generator_that_swallows_the_cancellation_is_closed_at_its_next_item(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio
log = []

async def stubborn():
    try:
        yield 1
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            log.append('swallowed')
        yield 2
        log.append('went on')
    finally:
        log.append('cleaned up')
")?;
        let mut stream = stream(cx, &python, "stubborn")?;
        cx.block_on(async move { stream.next().await.expect("there is an item") })?;
        until(cx, || Ok(log(&python)?.len() == 2))?;
        assert_eq!(log(&python)?, ["swallowed", "cleaned up"]);
    }

    fn a_clean_up_that_has_begun_is_not_interrupted(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio
log = []

class Iterator:
    def __init__(self, count):
        self.count = count

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.count:
            raise StopAsyncIteration
        self.count -= 1
        return self.count

    async def aclose(self):
        log.append('cleans up')
        try:
            while not is_released:
                await asyncio.sleep(0)
        except BaseException as error:
            log.append(repr(error))
            raise
        log.append('cleaned up')

is_released = False
")?;
        let started = |cx: &Cx<'_>| {
            python.setattr("is_released", false)?;
            python.getattr("log")?.call_method0("clear")?;
            let iterator = python.call_method1("Iterator", (1,))?;
            let mut stream = into_stream_with_locals(&locals(cx)?, iterator)?;
            let stream = cx.block_on(async move {
                stream.next().await.expect("there is an item")?;
                Ok(stream)
            })?;
            until(cx, || Ok(!log(&python)?.is_empty()))?;
            Ok::<_, PyErr>(stream)
        };
        drop(started(cx)?);
        cx.catch_up()?;
        python.setattr("is_released", true)?;
        until(cx, || Ok(log(&python)?.len() == 2))?;
        assert_eq!(log(&python)?, ["cleans up", "cleaned up"]);

        let closed = started(cx)?;
        let released = python.clone().unbind();
        cx.block_on(async move {
            let mut close = Box::pin(closed.close());
            assert!(future::poll_once(&mut close).await.is_none());
            call_soon(move |py| released.bind(py).setattr("is_released", true)).await?;
            close.await
        })?;
        assert_eq!(log(&python)?, ["cleans up", "cleaned up"]);
    }

    fn close_waits_for_the_clean_up(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let mut numbers = stream(cx, &python, "waits")?;
        cx.block_on(async move {
            numbers.next().await.expect("there is an item")?;
            numbers.close().await
        })?;
        assert_eq!(log(&python)?, ["CancelledError", "cleaned up"]);
    }

    fn close_gives_the_error_of_the_iteration_or_of_its_clean_up(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def fails():
    yield 1
    raise KeyError('iterating')

async def fails_to_clean_up():
    try:
        yield 1
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0)
        raise ValueError('cleaning up')
")?;
        let mut fails = stream(cx, &python, "fails")?;
        let mut fails_to_clean_up = stream(cx, &python, "fails_to_clean_up")?;
        let errors = cx.block_on(async move {
            fails.next().await.expect("there is an item")?;
            fails_to_clean_up.next().await.expect("there is an item")?;
            Ok([fails.close().await.unwrap_err(), fails_to_clean_up.close().await.unwrap_err()])
        })?;
        assert!(errors[0].is_instance_of::<PyKeyError>(cx.py), "{}", errors[0]);
        assert!(errors[1].is_instance_of::<PyValueError>(cx.py), "{}", errors[1]);
    }

    fn a_stream_that_is_closed_while_it_starts_runs_nothing(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let mut numbers = stream(cx, &python, "waits")?;
        cx.block_on(async move {
            // The poll posts the start, and the close its cancellation.
            let _ = future::poll_once(numbers.next()).await;
            numbers.close().await
        })?;
        let log = log(&python)?;
        assert!(log.is_empty() || log.last().is_some_and(|it| it == "cleaned up"), "{log:?}");
    }

    fn a_detached_iteration_runs_to_its_end_and_its_error_reaches_the_exception_handler(cx: &Cx<'_>) {
        let python = cx.module(c"
made = []

async def fails():
    for number in range(1000):
        made.append(number)
        yield number
    raise KeyError('detached')
")?;
        let unstarted = stream(cx, &python, "fails")?.capacity(10);
        unstarted.detach();
        let mut started = stream(cx, &python, "fails")?.capacity(10).extract::<i32>();
        let started = cx.block_on(async move {
            started.next().await.expect("there is an item")?;
            Ok(started)
        })?;
        started.detach();
        let mut unhandled = Vec::new();
        while unhandled.len() < 2 {
            cx.catch_up()?;
            unhandled.extend(cx.take_unhandled()?);
        }
        assert!(unhandled.iter().all(|(_, error)| error.is_instance_of::<PyKeyError>()), "{unhandled:?}");
        assert_eq!(python.getattr("made")?.len()?, 2000);
    }

    fn no_more_items_are_in_flight_than_the_capacity_says(cx: &Cx<'_>) {
        for (capacity, count) in [(1, 200), (2, 200), (3, 200), (7, 500), (128, 5000)] {
            let python = cx.module(c"
async def numbers(made, count):
    for number in range(count):
        made()
        yield number
")?;
            let made = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&made);
            let count_one = pyo3::types::PyCFunction::new_closure(cx.py, None, None, move |_, _| {
                counter.fetch_add(1, Ordering::SeqCst);
            })?;
            let numbers = python.call_method1("numbers", (count_one, count))?;
            let numbers = into_stream_with_locals(&locals(cx)?, numbers)?.capacity(capacity);
            let mut numbers = numbers.extract::<usize>();
            let most = cx.block_on(async move {
                let (mut taken, mut most) = (0, 0);
                while let Some(number) = numbers.next().await {
                    // This one is taken, and the next ones are not.
                    let in_flight = made.load(Ordering::SeqCst) - taken - 1;
                    assert!(in_flight <= capacity, "{in_flight} of {capacity}");
                    most = most.max(in_flight);
                    assert_eq!(number?, taken);
                    taken += 1;
                }
                assert_eq!(taken, count);
                Ok(most)
            })?;
            assert!(most > 0 || capacity == 1, "nothing was made ahead of the consumer");
        }
    }

    fn a_ready_generator_leaves_the_loop_its_turns(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def numbers():
    number = 0
    while True:
        yield number
        number += 1

async def other():
    for _ in range(100):
        await asyncio.sleep(0)
")?;
        let mut numbers = stream(cx, &python, "numbers")?;
        let other = cx.start(python.call_method0("other")?)?;
        cx.block_on(async move {
            let mut other = other;
            loop {
                numbers.next().await.expect("it has no end")?;
                if let Some(done) = future::poll_once(&mut other).await {
                    done?;
                    return numbers.close().await;
                }
            }
        })?;
    }

    fn one_task_in_one_context_makes_all_items(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio
import contextvars
variable = contextvars.ContextVar('variable', default='unset')

async def seen():
    task = asyncio.current_task()
    for number in range(5):
        await asyncio.sleep(0)
        assert asyncio.current_task() is task
        yield variable.get()
        variable.set(f'own {number}')
")?;
        let variable = python.getattr("variable")?;
        let token = variable.call_method1("set", ("caller's",))?;
        let locals = locals(cx)?;
        let without_context = TaskLocals::new(cx.event_loop.clone());
        let own = into_stream_with_locals(&without_context, python.call_method0("seen")?)?;
        variable.call_method1("reset", (token,))?;
        let generator = python.getattr("seen")?.unbind();
        let called = locals.run_async_generator(move |py| generator.bind(py).call0());
        for stream in [own, called] {
            let (seen, error) = cx.block_on(collect(stream.extract::<String>()))?;
            assert!(error.is_none(), "{error:?}");
            assert_eq!(seen, ["caller's", "own 0", "own 1", "own 2", "own 3"]);
        }
        assert_eq!(variable.call_method0("get")?.extract::<String>()?, "unset");
    }

    fn a_rust_future_iterates_over_what_its_function_returns_on_the_loop(cx: &Cx<'_>) {
        let python = cx.module(c"async def letters(word):\n    for letter in word:\n        yield letter")?;
        let letters = python.getattr("letters")?.unbind();
        let home = thread::current().id();
        let letters = cx.block_on(async move {
            let letters = run_async_generator(move |py| {
                assert_eq!(thread::current().id(), home);
                letters.bind(py).call1(("abc",))
            });
            letters.extract::<char>().try_collect::<_, _, Vec<_>>().await
        })?;
        assert_eq!(letters, ['a', 'b', 'c']);
    }

    fn what_cannot_be_iterated_over_is_a_type_error_that_names_it(cx: &Cx<'_>) {
        let number = 42_i32.into_pyobject(cx.py)?.into_any();
        let early = into_stream_with_locals(&locals(cx)?, number).map(drop).unwrap_err();
        let broken = cx.module(c"
class Broken:
    def __aiter__(self):
        return 42
")?;
        let late = locals(cx)?.run_async_generator(|py| Ok(42_i32.into_pyobject(py)?.into_any()));
        let broken = stream(cx, &broken, "Broken")?;
        let (late, broken) = cx.block_on(async move { Ok((collect(late).await?.1, collect(broken).await?.1)) })?;
        for error in [Some(early), late, broken] {
            let error = error.expect("a number is no async iterable");
            assert!(error.is_instance_of::<PyTypeError>(cx.py), "{error}");
            assert!(error.to_string().contains("int"), "{error}");
        }
    }

    fn a_function_that_fails_or_panics_gives_its_error(cx: &Cx<'_>) {
        let locals = locals(cx)?;
        let fails = locals.run_async_generator(|_| Err(PyKeyError::new_err("raised")));
        let panics = locals.run_async_generator(|_| panic!("on purpose: made"));
        let (fails, panics) = cx.block_on(async move { Ok((collect(fails).await?.1, collect(panics).await?.1)) })?;
        let (fails, panics) = (fails.expect("it fails"), panics.expect("it panics"));
        assert!(fails.is_instance_of::<PyKeyError>(cx.py), "{fails}");
        assert!(panics.is_instance_of::<RustPanic>(cx.py), "{panics}");
    }

    fn without_a_loop_the_error_says_what_to_do(cx: &Cx<'_>) {
        let called = run_async_generator(|_| unreachable!("no loop calls it"));
        let (_, error) = future::block_on(collect(called))?;
        let python = cx.module(WAITS)?;
        let direct = into_stream(python.call_method0("waits")?).map(drop).unwrap_err();
        for error in [error.expect("there is no loop"), direct] {
            assert!(error.is_instance_of::<PyRuntimeError>(cx.py), "{error}");
            assert!(error.to_string().contains("locals") || error.to_string().contains("TaskLocals"), "{error}");
        }
    }

    fn a_loop_that_closes_ends_the_stream_after_the_items_that_were_made(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let mut numbers = stream(cx, &python, "waits")?.extract::<i32>();
        let unstarted = stream(cx, &python, "waits")?.extract::<i32>();
        let numbers = cx.block_on(async move {
            assert_eq!(numbers.next().await.expect("there is an item")?, 1);
            Ok(numbers)
        })?;
        cx.event_loop.call_method0("close")?;
        let (rest, error) = future::block_on(collect(numbers))?;
        assert_eq!(rest, [2]);
        let (none, late) = future::block_on(collect(unstarted))?;
        assert!(none.is_empty());
        for error in [error, late] {
            let error = error.expect("the loop is closed");
            assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        }
    }

    fn a_cancelled_iteration_ends_the_stream_with_the_cancellation(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio

async def cancels_its_task():
    yield 1
    asyncio.current_task().cancel()
    await asyncio.get_running_loop().create_future()
")?;
        let (numbers, error) = cx.block_on(collect(stream(cx, &python, "cancels_its_task")?.extract::<i32>()))?;
        assert_eq!(numbers, [1]);
        let error = error.expect("the task is cancelled");
        assert!(error.is_instance(cx.py, &cx.py.import("asyncio")?.getattr("CancelledError")?), "{error}");
    }

    fn a_keyboard_interrupt_in_the_generator_ends_the_loop_and_the_stream(cx: &Cx<'_>) {
        let python = cx.module(c"
import asyncio
is_interrupted = False

async def interrupted():
    yield 1
    while not is_interrupted:
        await asyncio.sleep(0)
    raise KeyboardInterrupt
")?;
        let mut stream = stream(cx, &python, "interrupted")?;
        let stream = cx.block_on(async move {
            stream.next().await.expect("there is an item")?;
            Ok(stream)
        })?;
        python.setattr("is_interrupted", true)?;
        let error = cx.block_on(pending::<PyResult<()>>()).unwrap_err();
        assert!(error.is_instance_of::<PyKeyboardInterrupt>(cx.py), "{error}");
        let (_, error) = cx.block_on(collect(stream))?;
        let error = error.expect("it is interrupted");
        assert!(error.is_instance_of::<PyKeyboardInterrupt>(cx.py), "{error}");
    }

    fn no_thread_attaches_to_poll_or_to_drop(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let numbers = stream(cx, &python, "waits")?;
        let uncalled = locals(cx)?.run_async_generator(|_| unreachable!("it is dropped first"));
        let while_attached = |numbers: PyStream, items: usize| {
            let (done, is_done) = mpsc::channel();
            thread::spawn(move || {
                let mut numbers = numbers;
                let ready = (0..items).filter(|_| {
                    let item = future::block_on(future::poll_once(numbers.next()));
                    item.is_some_and(|item| item.is_some_and(|item| item.is_ok()))
                });
                let ready = ready.count();
                done.send((numbers, ready)).expect("the test waits");
            });
            is_done.recv_timeout(PATIENCE).expect("the other thread does not wait for the interpreter")
        };
        let (uncalled, ready) = while_attached(uncalled, 1);
        assert_eq!(ready, 0);
        let (dropped, is_dropped) = mpsc::channel();
        thread::spawn(move || {
            drop(uncalled);
            dropped.send(()).expect("the test waits");
        });
        is_dropped.recv_timeout(PATIENCE).expect("the other thread does not wait for the interpreter");
        let (numbers, ready) = while_attached(numbers, 1);
        assert_eq!(ready, 0);
        // The loop makes two items, and waits in the third.
        cx.catch_up()?;
        cx.catch_up()?;
        let (numbers, ready) = while_attached(numbers, 3);
        assert_eq!(ready, 2);
        drop(numbers);
        until(cx, || Ok(log(&python)?.len() == 2))?;
    }

    fn a_future_that_is_not_send_iterates_on_the_loop_that_makes_the_items(cx: &Cx<'_>) {
        let python = cx.module(c"
async def numbers():
    for number in range(1000):
        yield number
")?;
        let numbers = python.getattr("numbers")?.unbind();
        let sum = cx.spawn_local(move || async move {
            let not_send = std::rc::Rc::new(numbers);
            let numbers = Python::attach(|py| into_stream(not_send.bind(py).call0()?))?;
            let mut numbers = numbers.capacity(4).extract::<i32>();
            let mut sum = 0;
            while let Some(number) = numbers.next().await {
                sum += number?;
            }
            Ok(sum)
        })?;
        assert_eq!(cx.run(&sum)?.extract::<i32>()?, 499_500);
    }

    fn a_stream_is_set_up_before_its_first_poll(cx: &Cx<'_>) {
        let python = cx.module(c"async def one():\n    yield 1")?;
        let (numbers, error) = cx.block_on(collect(stream(cx, &python, "one")?.capacity(1).extract::<i32>()))?;
        assert!(error.is_none() && numbers == [1]);
        let mut polled = stream(cx, &python, "one")?;
        let polled = cx.block_on(async move {
            polled.next().await.expect("there is an item")?;
            Ok(polled)
        })?;
        let unpolled = stream(cx, &python, "one")?;
        let panics = [
            catch_unwind(AssertUnwindSafe(|| drop(polled.extract::<i32>()))),
            catch_unwind(AssertUnwindSafe(|| drop(unpolled.capacity(0)))),
        ];
        for panic in panics {
            panic.unwrap_err();
        }
    }

    fn garbage_is_collected_between_any_two_steps(cx: &Cx<'_>) {
        if !cx.set_debug()? {
            return Ok(());
        }
        let python = cx.module(c"
import asyncio
import gc

async def numbers():
    for number in range(100):
        gc.collect(0)
        if number % 3 == 0:
            await asyncio.sleep(0)
            gc.collect(1)
        yield number
    gc.collect()
")?;
        let numbers = stream(cx, &python, "numbers")?.capacity(2).and_then(|py, number| {
            py.import("gc")?.call_method1("collect", (0,))?;
            number.extract::<i32>()
        });
        let (numbers, error) = cx.block_on(collect(numbers))?;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(numbers, Vec::from_iter(0..100));
    }

    fn a_loop_that_is_collected_in_the_middle_of_a_stream_takes_the_generator_with_it(cx: &Cx<'_>) {
        let python = cx.module(WAITS)?;
        let mut full = stream(cx, &python, "waits")?.capacity(1);
        let mut waiting = stream(cx, &python, "waits")?;
        let streams = cx.block_on(async move {
            full.next().await.expect("there is an item")?;
            waiting.next().await.expect("there is an item")?;
            Ok([full, waiting])
        })?;
        cx.catch_up()?;
        cx.event_loop.call_method0("close")?;
        for stream in streams {
            let (_, error) = future::block_on(collect(stream))?;
            let error = error.expect("the loop is closed");
            assert!(error.is_instance_of::<LoopClosed>(cx.py), "{error}");
        }
        // The harness checks that the loop can be collected, and that Python does not complain.
    }

    fn streams_in_the_shape_of_pyo3_async_runtimes_lose_no_error(cx: &Cx<'_>) {
        // The behaviours of https://docs.rs/pyo3-async-runtimes/0.30.0/src/pyo3_async_runtimes/generic.rs.html, which loses the error
        // of a stream without results, and repeats that of a stream of results for ever.
        let python = cx.module(c"
async def fails():
    yield 1
    raise KeyError('raised')
")?;
        let generator = || python.call_method0("fails");
        let results = into_stream_with_locals_v1(locals(cx)?, generator()?)?;
        let items = into_stream_with_locals_v2(locals(cx)?, generator()?)?;
        let (numbers, error) = cx.block_on(collect(results.extract::<i32>()))?;
        assert_eq!(numbers, [1]);
        assert!(error.expect("it fails").is_instance_of::<PyKeyError>(cx.py));
        let count = cx.block_on(async move { Ok(items.count().await) })?;
        assert_eq!(count, 1);
        cx.catch_up()?;
        let unhandled = cx.take_unhandled()?;
        assert_eq!(unhandled.len(), 1, "{unhandled:?}");
        assert!(unhandled[0].1.is_instance_of::<PyKeyError>());
    }
}

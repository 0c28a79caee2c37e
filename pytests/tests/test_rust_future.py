"""The behaviour of RustFuture that asyncio.Future does not share."""

import _thread
import asyncio
import contextvars
import gc
import os
import queue
import sys
import threading
import traceback
import warnings
import weakref

import pytest
from conftest import DOORBELL


def test_a_rust_future_has_its_own_type_and_returns_the_value(run, rust):
    async def main():
        future = rust.turns(3, "value")
        assert asyncio.isfuture(future)
        assert type(future).__name__ == "RustFuture"
        assert type(future).__module__ == "pyo3_asyncio"
        return await future

    assert run(main()) == "value"


def test_a_ready_future_is_not_done_before_the_loop_turns(run, rust):
    async def main():
        future = rust.turns(0, 1)
        done = future.done()
        return done, await future

    assert run(main()) == (False, 1)


@pytest.mark.two_threads
def test_a_future_starts_without_being_awaited(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        gate.open("ran")
        gate.wait_until_dropped()
        assert gate.polls > 0
        return await future

    assert run(main()) == "ran"


def test_a_runtime_timer_wakes_the_loop(run, rust):
    async def main():
        await asyncio.gather(*(rust.nap(0.001 * number) for number in range(10)))

    run(main())


def test_rust_returns_the_same_object(run, rust):
    async def main():
        value, gate = object(), rust.Gate()
        future = gate.wait()
        gate.open(value)
        assert await future is value
        assert future.result() is value

    run(main())


def test_rust_raises_the_same_exception(run, rust):
    async def main():
        exception, gate = LookupError("nothing there"), rust.Gate()
        future = gate.wait()
        gate.fail(exception)
        with pytest.raises(LookupError) as caught:
            await future
        assert caught.value is exception
        assert future.exception() is exception

    run(main())


def test_an_error_in_the_conversion_is_raised_by_the_future(run, rust):
    async def main():
        exception, gate = OverflowError("does not fit"), rust.Gate()
        future = gate.wait()
        gate.fail_conversion(exception)
        with pytest.raises(OverflowError) as caught:
            await future
        assert caught.value is exception

    run(main())


def test_a_cancelled_error_from_rust_cancels_the_future(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        gate.fail(asyncio.CancelledError("by Rust"))
        with pytest.raises(asyncio.CancelledError):
            await future
        assert future.cancelled()

    run(main())


@pytest.mark.parametrize("kind", [StopIteration, type("OwnStop", (StopIteration,), {})])
def test_stop_iteration_from_rust_becomes_a_runtime_error_with_its_cause(run, rust, kind):
    async def main():
        stop, gate = kind("from Rust"), rust.Gate()
        future = gate.wait()
        gate.fail(stop)
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            await future
        assert caught.value.__cause__ is stop

    run(main())


@pytest.mark.parametrize("value", [StopIteration("a value"), (1, 2), (), None, ValueError("not raised"), NotImplemented])
def test_special_values_are_returned_unchanged(run, rust, value):
    async def main():
        return await rust.turns(1, value), await asyncio.ensure_future(as_task(rust.turns(0, value)))

    async def as_task(future):
        return await future

    first, second = run(main())
    assert first is value
    assert second is value


def test_a_traceback_does_not_grow_when_the_future_is_awaited_again(run, rust):
    async def main():
        future = failed(rust, ValueError("again"))
        await asyncio.wait([future])
        lengths = []
        for _ in range(5):
            try:
                await future
            except ValueError as error:
                lengths.append(len(traceback.extract_tb(error.__traceback__)))
        return lengths

    lengths = run(main())
    assert len(set(lengths)) == 1, lengths


def failed(rust, exception):
    gate = rust.Gate()
    future = gate.wait()
    gate.fail(exception)
    return future


def test_a_traceback_from_rust_keeps_the_frames_that_the_exception_had(run, rust):
    def raises_it():
        raise ValueError("with a past")

    async def main():
        try:
            raises_it()
        except ValueError as error:
            exception = error
        with pytest.raises(ValueError) as caught:
            await failed(rust, exception)
        return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    assert "raises_it" in run(main())


def test_an_unretrieved_error_is_reported_to_the_loop(run, rust, complaints):
    async def main():
        exception = ValueError("nobody asks")
        future = failed(rust, exception)
        await asyncio.wait([future])
        assert complaints == []
        text = repr(future)
        del future
        gc.collect()
        return exception, text

    exception, text = run(main())
    complaint = complaints.pop()
    assert "exception was never retrieved" in complaint["message"]
    assert complaint["exception"] is exception
    assert repr(complaint["future"]) == text


def test_an_unretrieved_error_is_reported_to_a_closed_loop_that_is_collected_too(rust, new_loop):
    told = []

    def leave():
        loop, kept = new_loop(), []

        def handler(loop, context, kept=kept):
            told.append((context["message"], repr(context["exception"]), context["future"].done(), loop.is_closed()))

        async def main():
            kept.append(failed(rust, ValueError("nobody asks")))
            await asyncio.wait(kept)

        loop.set_exception_handler(handler)
        loop.run_until_complete(main())
        loop.close()

    leave()
    assert told == []
    gc.collect()
    assert told == [("RustFuture exception was never retrieved", "ValueError('nobody asks')", True, True)]


def test_the_late_error_of_a_dropped_future_is_reported_to_the_loop(run, rust, complaints):
    async def main():
        gate, exception, told = rust.Gate(), ValueError("too late for anybody"), asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: (complaints.append(context), told.set()))
        gate.wait()
        gc.collect()
        assert complaints == [], "there is no error yet"
        assert gate.fail(exception), "a dropped future goes on, as a spawned task does"
        await told.wait()
        return exception

    exception = run(main())
    complaint = complaints.pop()
    assert "exception was never retrieved" in complaint["message"]
    assert complaint["exception"] is exception


@pytest.mark.two_threads
def test_the_late_result_of_a_dropped_future_is_discarded_silently(run, rust):
    async def main():
        gate = rust.Gate()
        gate.wait()
        gc.collect()
        assert gate.open("nobody waits"), "a dropped future goes on, as a spawned task does"
        gate.wait_until_dropped()
        await rust.turns(1, None)

    run(main())


@pytest.mark.two_threads
@pytest.mark.parametrize("settle", [lambda future: future.set_result(1), lambda future: future.set_exception(OSError())])
def test_settling_a_future_from_python_drops_the_rust_future(run, rust, settle):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        settle(future)
        gate.wait_until_dropped()
        assert not gate.open("too late")
        await asyncio.wait([future])
        return future.exception()

    run(main())


def test_a_future_supports_weak_references(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        died = []
        reference = weakref.ref(future, lambda reference: died.append(True))
        assert reference() is future
        gate.open(1)
        await future
        del future
        # The drain that woke this task refers to the future until the task yields.
        await asyncio.sleep(0)
        assert reference() is None
        assert died == [True]

    run(main())


@pytest.mark.two_threads
def test_rust_does_not_keep_an_unreferenced_pending_future_alive(run, rust):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/64"""

    async def main():
        gate = rust.Gate()
        reference = weakref.ref(gate.wait())
        gc.collect()
        assert reference() is None
        gate.open(None)
        gate.wait_until_dropped()

    run(main())


def test_a_pending_future_with_a_callback_lives_until_the_callback_runs(run, rust):
    async def main():
        gate, called = rust.Gate(), asyncio.Event()
        future = gate.wait()
        future.add_done_callback(lambda future: called.set())
        del future
        gc.collect()
        gate.open(None)
        await called.wait()

    run(main())


def test_a_task_that_only_rust_can_wake_survives_the_collector(run, rust):
    async def main():
        results = []

        async def waiter(future):
            results.append(await future)

        gates = [rust.Gate() for _ in range(50)]
        for gate in gates:
            asyncio.ensure_future(waiter(gate.wait()))
        await asyncio.sleep(0)
        gc.collect()
        for number, gate in enumerate(gates):
            gate.open(number)
        while len(results) < len(gates):
            gc.collect()
            await rust.turns(1, None)
        assert sorted(results) == list(range(50))

    run(main())


def test_a_cycle_through_a_callback_is_collected_when_the_future_is_done(run, rust):
    async def main():
        class Holder:
            pass

        holder, gate = Holder(), rust.Gate()
        holder.future = gate.wait()
        holder.future.add_done_callback(lambda future, holder=holder: None)
        gate.open(holder)
        await holder.future
        reference = weakref.ref(holder)
        del holder
        await asyncio.sleep(0)
        gc.collect()
        assert reference() is None

    run(main())


def test_a_pending_cycle_is_collected_with_its_loop(new_loop, rust):
    class Holder:
        pass

    def make():
        loop, holder, gate = new_loop(), Holder(), rust.Gate()
        holder.future = gate.wait(loop)
        holder.future.add_done_callback(lambda future, holder=holder: None)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        return weakref.ref(holder), gate

    reference, gate = make()
    gc.collect()
    assert reference() is None
    gate.open(None)


def test_the_result_is_freed_with_the_future(run, rust):
    class Value:
        pass

    async def main():
        value, gate = Value(), rust.Gate()
        future = gate.wait()
        gate.open(value)
        await future
        reference = weakref.ref(value)
        del value
        gc.collect()
        assert reference() is not None
        del future
        await asyncio.sleep(0)
        assert reference() is None

    run(main())


def test_a_callback_receives_its_future(run, rust):
    async def main():
        gate, seen = rust.Gate(), asyncio.Event()
        given = []
        future = gate.wait()
        future.add_done_callback(given.append)
        future.add_done_callback(lambda future: seen.set())
        gate.open(1)
        await seen.wait()
        assert given[0] is future

    run(main())


def test_a_callback_runs_on_the_loops_thread(run, rust):
    async def main():
        gate, called = rust.Gate(), asyncio.Event()
        seen = []
        future = gate.wait()
        future.add_done_callback(lambda future: (seen.append(threading.get_ident()), called.set()))
        thread = threading.Thread(target=gate.open, args=(1,))
        thread.start()
        await called.wait()
        thread.join()
        assert seen == [threading.get_ident()]

    run(main())


def test_the_value_is_converted_and_dropped_on_the_loops_thread(run, rust):
    """The runtime's threads do not attach. So the Python code of a value runs on the loop's thread."""
    seen = []

    class Value:
        def __del__(self):
            seen.append(threading.get_ident())

    async def main():
        gate = rust.Gate()
        future = gate.wait()
        gate.open(Value())
        await future
        del future

    run(main())
    gc.collect()
    assert seen == [threading.get_ident()]


def test_debug_mode_shows_where_a_future_was_created(loop, run, rust):
    loop.set_debug(True)

    async def main():
        gate = rust.Gate()
        future = gate.wait()
        line = sys._getframe().f_lineno - 1
        assert f"created at {__file__}:{line}" in repr(future)
        gate.open(None)
        await future

    run(main())


def test_debug_mode_accepts_a_thread_in_which_no_python_function_runs(loop, run, rust):
    """In CPython 3.15, `sys._getframe` has a frame without code there, raises SystemError, or crashes."""

    async def main():
        loop.set_debug(True)
        gate, made = rust.Gate(), queue.SimpleQueue()
        # All of this is written in C.
        _thread.start_new_thread(list, (map(made.put, map(gate.wait, [loop])),))
        future = made.get(timeout=10)
        assert future._source_traceback is None
        assert "created at pytests/src/gate.rs:" in repr(future)
        gate.open("value")
        return await future

    assert run(main()) == "value"


def test_debug_mode_accepts_wake_ups_from_other_threads(loop, run, rust):
    loop.set_debug(True)

    async def main():
        return await asyncio.gather(*(rust.turns(number % 3, number) for number in range(200)))

    assert run(main()) == list(range(200))


def test_another_thread_can_create_a_future_for_a_loop(loop, run, rust):
    """This works even if it is the first use of the loop."""

    async def main():
        gate = rust.Gate()
        future = await loop.run_in_executor(None, gate.wait, loop)
        assert future.get_loop() is loop
        await loop.run_in_executor(None, gate.open, "from afar")
        return await future

    assert run(main()) == "from afar"


def test_a_future_can_be_created_before_its_loop_runs(loop, run, rust):
    gate = rust.Gate()
    future = gate.wait(loop)
    gate.open("early")
    gate.wait_until_dropped()
    assert not future.done()
    assert run(future) == "early"


def test_a_future_for_a_closed_loop_raises_loop_closed(new_loop, rust):
    loop = new_loop()
    loop.close()
    gate = rust.Gate()
    with pytest.raises(rust.LoopClosed, match="closed"):
        gate.wait(loop)


@pytest.mark.parametrize("thing", [1, "loop", object()])
def test_an_object_that_is_not_a_loop_is_refused(rust, thing):
    with pytest.raises((TypeError, AttributeError)):
        rust.Gate().wait(thing)


def test_completing_a_future_of_a_closed_loop_is_silent(new_loop, rust):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/90"""
    loop, gate = new_loop(), rust.Gate()

    async def main():
        return gate.wait()

    future = loop.run_until_complete(main())
    loop.close()
    gate.open("to nobody")
    gate.wait_until_dropped()
    assert repr(future)


def test_completing_a_cancelled_future_of_a_closed_loop_is_silent(new_loop, rust):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/90"""
    loop, gate = new_loop(), rust.Gate()

    async def main():
        gate.wait().cancel()
        gate.open("too late")

    loop.run_until_complete(main())
    loop.close()
    gate.wait_until_dropped()


def test_a_loop_can_run_many_times(loop, run, rust):
    for number in range(20):
        assert run(rust_turns(rust, number)) == number


async def rust_turns(rust, number):
    return await rust.turns(number, number)


def test_a_thousand_loops_leak_nothing(new_loop, rust):
    for number in range(1000):
        loop = new_loop()
        assert loop.run_until_complete(rust_turns(rust, number % 3)) == number % 3
        loop.close()


def test_an_unclosed_loop_is_collected_as_it_is_without_rust(new_loop, rust):
    async def nothing():
        pass

    def collected(coroutine):
        loop = new_loop()
        loop.run_until_complete(coroutine)
        reference = weakref.ref(loop)
        del loop
        with warnings.catch_warnings():
            # An unclosed loop warns, as an unclosed file does.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        if reference() is None:
            return True
        reference().close()
        return False

    assert collected(rust_turns(rust, 1)) == collected(nothing())


def test_the_loop_uses_the_selected_doorbell(loop, run, rust, new_loop):
    if new_loop.kind != "asyncio":
        # uvloop does not expose its descriptors.
        assert run(rust_turns(rust, 1)) == 1
        return

    watched = len(loop._selector.get_map())
    run(rust_turns(rust, 1))
    if os.environ.get(DOORBELL) == "call_soon_threadsafe":
        assert len(loop._selector.get_map()) == watched
    else:
        assert len(loop._selector.get_map()) == watched + 1


def test_a_callback_without_a_context_runs_in_a_copy_of_the_current_one(run, rust):
    variable = contextvars.ContextVar("variable")

    async def main():
        variable.set("of the caller")
        gate, called = rust.Gate(), asyncio.Event()
        seen = []
        future = gate.wait()
        future.add_done_callback(lambda future: (seen.append(variable.get()), called.set()))
        gate.open(None)
        await called.wait()
        return seen

    assert run(main()) == ["of the caller"]

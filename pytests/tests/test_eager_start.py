"""Eager start: the first poll runs on the caller's thread."""

import asyncio
import contextvars
import inspect
import threading

import pytest


def test_a_ready_future_is_done_when_the_call_returns(run, rust):
    async def main():
        gate = rust.Gate()
        gate.open("value")
        future = gate.eager()
        assert asyncio.isfuture(future) and future.done() and future.result() == "value"
        assert gate.polls == 1
        gate.wait_until_dropped()
        assert await future == "value"
        assert rust.eager_call(threading.get_ident).result() == threading.get_ident()

    run(main())


def test_a_pending_future_continues_on_the_runtime(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.eager()
        assert not future.done() and gate.polls >= 1
        gate.open("value")
        assert await future == "value"
        assert await rust.eager_turns(10, "value") == "value"

    run(main())


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_is_raised_by_the_future(run, rust, when):
    async def main():
        gate = rust.Gate()
        if when == "before":
            gate.fail(LookupError("from Rust"))
        future = gate.eager()
        assert future.done() == (when == "before")
        if when == "after":
            gate.fail(LookupError("from Rust"))
        with pytest.raises(LookupError, match="from Rust"):
            await future
        gate.wait_until_dropped()

    run(main())


@pytest.mark.parametrize("end", ["panic", "panic_in_conversion"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_panic_is_raised_by_the_future(run, rust, capfd, when, end):
    async def main():
        gate = rust.Gate()
        if when == "before":
            getattr(gate, end)("in a poll")
        future = gate.eager()
        assert future.done() == (when == "before")
        if when == "after":
            getattr(gate, end)("in a poll")
        with pytest.raises(rust.RustPanic, match="in a poll"):
            await future
        gate.wait_until_dropped()

    run(main())
    assert "panicked at" in capfd.readouterr().err


def test_an_unretrieved_error_is_reported(run, rust, complaints):
    async def main():
        gate = rust.Gate()
        gate.fail(LookupError("from Rust"))
        gate.eager()

    run(main())
    assert complaints.pop()["message"] == "RustFuture exception was never retrieved"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_first_poll_is_raised_by_the_call(run, rust, kind):
    async def main():
        gate = rust.Gate()
        gate.fail(kind("an interrupt"))
        with pytest.raises(kind, match="an interrupt"):
            gate.eager()

    run(main())


def test_a_cancelled_error_from_rust_cancels_the_future(run, rust):
    async def main():
        gate = rust.Gate()
        gate.fail(asyncio.CancelledError("from Rust"))
        future = gate.eager()
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError, match="from Rust"):
            await future

    run(main())


def test_the_second_poll_needs_no_wake_up(run, rust):
    """The caller polls twice, so a wake-up between the two polls is not needed."""

    async def main():
        assert await rust.eager_wakes(1, 0, False) == 2

    run(main())


@pytest.mark.parametrize("from_another_thread", [False, True])
@pytest.mark.parametrize("wakes", [1, 2, 100])
@pytest.mark.parametrize("poll", [1, 2])
def test_a_wake_up_during_a_poll_is_not_lost(run, rust, poll, wakes, from_another_thread):
    """Only a wake-up causes the third poll."""

    async def main():
        assert await rust.eager_wakes(poll, wakes, from_another_thread) == poll + 1

    run(main())


def test_a_wake_up_between_the_polls_is_not_lost(run, rust):
    async def main():
        for _ in range(500):
            gate = rust.Gate()
            opener = threading.Thread(target=gate.open, args=("value",))
            opener.start()
            assert await gate.eager() == "value"
            opener.join()

    run(main())


def test_the_first_poll_runs_in_the_callers_task(loop, run, rust):
    var = contextvars.ContextVar("var")

    async def main():
        var.set("the caller's")
        task = asyncio.current_task()
        assert rust.eager_call(asyncio.current_task).result() is task
        assert rust.eager_call(rust.current_loop).result() is loop
        assert rust.eager_call(lambda: rust.current_context()[var]).result() == "the caller's"
        assert rust.eager_call(var.get).result() == "the caller's"
        # The caller has its own locals again.
        assert rust.current_loop() is loop

    run(main())


def test_the_first_poll_can_start_other_futures(run, rust):
    async def main():
        inner = rust.eager_call(lambda: rust.eager_call(lambda: "innermost")).result()
        assert inner.result() == "innermost"
        assert await rust.eager_await(lambda: rust.turns(3, "from Rust")) == "from Rust"
        assert await rust.eager_await(lambda: rust.lazy_turns(3, "from a coroutine")) == "from a coroutine"
        assert await rust.eager_await(lambda: asyncio.sleep(0, "from Python")) == "from Python"
        assert await rust.eager_await(lambda: rust.eager_turns(3, "nested")) == "nested"

    run(main())


def test_other_python_threads_run_during_the_first_poll(run, rust):
    """The poll is detached. Another Python thread ends it."""

    async def main():
        done = threading.Event()

        def let_go_until_done():
            while not done.is_set():
                rust.let_go()

        other = threading.Thread(target=let_go_until_done)
        other.start()
        future = rust.eager_block()
        done.set()
        other.join()
        assert future.result() is True

    run(main())


def test_runtime_timers_work_in_the_first_poll(run, rust):
    async def main():
        await rust.eager_nap(0.001)

    run(main())


@pytest.mark.two_threads
def test_cancelling_a_pending_future_drops_it(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.eager()
        assert future.cancel()
        gate.wait_until_dropped()
        gate = rust.Gate()
        task = asyncio.ensure_future(asyncio.wait_for(gate.eager(), 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.wait_until_dropped()

    run(main())


def test_a_closed_loop_raises_before_the_first_poll(new_loop, rust):
    loop, gate = new_loop(), rust.Gate()
    loop.close()
    with pytest.raises(rust.LoopClosed):
        rust.run_in_scope(loop, gate.eager)
    assert gate.polls == 0
    gate.wait_until_dropped()


def test_without_a_loop_the_call_returns_a_coroutine_that_polls_on_its_first_step(loop, run, rust):
    gate = rust.Gate()
    coroutine = gate.eager()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED and gate.polls == 0
    gate.open("value")

    async def step():
        with pytest.raises(StopIteration) as caught:
            coroutine.send(None)
        return caught.value.value

    assert run(step()) == "value"
    assert gate.polls == 1
    assert run(rust.eager_turns(3, "value")) == "value"
    assert run(rust.eager_call(threading.get_ident)) == threading.get_ident()


@pytest.mark.parametrize("end", ["fail", "stop", "panic", "interrupt"])
def test_an_eager_coroutine_raises_its_own_failure(run, rust, capfd, end):
    gate = rust.Gate()
    coroutine = gate.eager()
    ends = {
        "fail": (lambda: gate.fail(LookupError("from Rust")), LookupError),
        "stop": (lambda: gate.fail(StopIteration("from Rust")), RuntimeError),
        "panic": (lambda: gate.panic("from Rust"), rust.RustPanic),
        "interrupt": (lambda: gate.fail(KeyboardInterrupt("from Rust")), KeyboardInterrupt),
    }
    fail, kind = ends[end]
    fail()

    async def step():
        with pytest.raises(kind):
            coroutine.send(None)

    run(step())
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    gate.wait_until_dropped()
    capfd.readouterr()

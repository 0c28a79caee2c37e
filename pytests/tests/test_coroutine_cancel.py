"""Cancelling a coroutine drops its Rust future, or hands the cancellation to it."""

import asyncio
import inspect
import sys

import anyio
import pytest


async def suspended(coroutine):
    """A task that waits for the Rust future."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
    return task


async def cancelled(task):
    """The error that a cancelled task ends with."""
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert task.cancelled()
    return caught.value


async def until(is_true):
    """Lets the loop turn until something is so that the runtime brings about."""
    while not is_true():
        await asyncio.sleep(0)


@pytest.mark.parametrize("cancellable", [False, True])
def test_a_task_that_is_cancelled_before_it_began_never_starts_it(run, rust, cancellable):
    async def main():
        gate, log = rust.Gate(), []
        task = asyncio.ensure_future(rust.persistent(gate, log) if cancellable else gate.coroutine())
        task.cancel()
        await cancelled(task)
        gate.wait_until_dropped()
        assert gate.polls == 0 and log == []

    run(main())


def test_cancelling_drops_the_rust_future_at_once_and_unpolled(run, rust):
    async def main():
        gate = rust.Gate()
        task = await suspended(gate.coroutine())
        holds = [rust.Hold() for _ in range(rust.WORKERS)]
        polls = gate.polls
        gate.open("the future is woken, and nobody can poll it")
        task.cancel("enough")
        for hold in holds:
            hold.let_go()
        # The loop does not turn meanwhile.
        gate.wait_until_dropped()
        assert gate.polls == polls
        # The message comes through where asyncio hands it on: Python 3.9 and 3.10 may make a new error for the awaiter.
        assert (await cancelled(task)).args == ("enough",) or sys.version_info < (3, 11)
        for hold in holds:
            hold.future.cancel()

    run(main())


def test_a_cancellation_between_the_outcome_and_the_wake_up_wins(run, rust):
    async def main():
        gate = rust.Gate()
        coroutine = gate.coroutine()
        future = None

        async def waiter():
            return await coroutine

        task = asyncio.ensure_future(waiter())
        await asyncio.sleep(0)
        future = coroutine.cr_await
        # It is called as soon as the outcome is there; the task hears of that afterwards.
        accepted = []
        other = rust.Gate()
        first = other.wait()
        first.add_done_callback(lambda first: (future.set_result("value"), accepted.append(task.cancel())))
        other.open(None)
        await cancelled(task)
        assert accepted == [True] and future.result() == "value"
        gate.wait_until_dropped()

    run(main())


def test_the_end_of_the_loop_drops_what_runs_and_cleans_up_what_asks_for_it(rust, new_loop):
    from conftest import end

    gates, log = [rust.Gate() for _ in range(20)], []

    async def main():
        for gate in gates[:10]:
            asyncio.ensure_future(gate.coroutine())
        for gate in gates[10:]:
            asyncio.ensure_future(gate.cancellable_coroutine(log, rust.Gate(), "ends by itself"))
        await asyncio.sleep(0)

    loop = new_loop()
    loop.run_until_complete(main())
    end(loop)
    for gate in gates:
        gate.wait_until_dropped()
    assert [type(error) for error in log] == [asyncio.CancelledError] * 10


if sys.version_info >= (3, 11):

    def test_a_timeout_that_drops_it_leaves_no_cancellation_behind(run, rust):
        async def main():
            gate, task = rust.Gate(), asyncio.current_task()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await gate.coroutine()
            gate.wait_until_dropped()
            assert task.cancelling() == 0
            assert await rust.lazy_turns(3, "value") == "value"

        run(main())

    def test_a_timeout_waits_for_the_clean_up(run, rust):
        async def main():
            gate, clean, log = rust.Gate(), rust.Gate(), []
            asyncio.ensure_future(until(lambda: log)).add_done_callback(lambda _: clean.open(None))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await gate.cancellable_coroutine(log, clean)
            assert len(log) == 1
            clean.wait_until_dropped()

        run(main())

    def test_a_value_after_a_timeout_is_lost_to_the_timeout(run, rust):
        """As of an `async def` that swallows its cancellation: `asyncio.timeout` raises only for one that came through."""

        async def main():
            gate, clean, log = rust.Gate(), rust.Gate(), []
            clean.open(None)
            async with asyncio.timeout(0.001) as scope:
                assert await gate.cancellable_coroutine(log, clean, "value") == "value"
            assert scope.expired() and len(log) == 1

        run(main())


def test_the_clean_up_runs_while_the_loop_does_and_ends_with_the_cancellation(run, rust):
    async def main():
        gate, clean, log = rust.Gate(), rust.Gate(), []
        task = await suspended(gate.cancellable_coroutine(log, clean))
        task.cancel("enough")
        gate.wait_until_dropped()
        await until(lambda: log)
        assert log[0].args == ("enough",) and not task.done()
        assert await rust.lazy_turns(3, "the loop turns") == "the loop turns"
        clean.open(None)
        assert await cancelled(task) is log[0] or sys.version_info < (3, 11)

    run(main())


def test_a_cancelled_coroutine_may_return_a_value(run, rust):
    async def main():
        gate, clean, log = rust.Gate(), rust.Gate(), []
        task = await suspended(gate.cancellable_coroutine(log, clean, "value"))
        assert task.cancel()
        clean.open(None)
        assert await task == "value"
        assert not task.cancelled()

    run(main())


def test_each_cancellation_is_handed_over_once(run, rust):
    async def main():
        gate, log = rust.Gate(), []
        task = await suspended(rust.persistent(gate, log))
        for number in range(5):
            task.cancel(number)
            await until(lambda number=number: len(log) > number)
        # Nobody is told twice.
        await rust.lazy_turns(5, None)
        gate.open("value")
        assert await task == "value"
        assert [error.args for error in log] == [(number,) for number in range(5)]

    run(main())


def test_a_second_cancellation_does_not_strike_the_clean_up(run, rust):
    async def main():
        gate, clean, log = rust.Gate(), rust.Gate(), []
        task = await suspended(gate.cancellable_coroutine(log, clean))
        task.cancel("first")
        await until(lambda: log)
        task.cancel("second")
        await rust.lazy_turns(5, None)
        assert not task.done()
        clean.open(None)
        await cancelled(task)
        assert [error.args for error in log] == [("first",)]

    run(main())


def test_a_cancellation_is_thrown_by_hand(run, rust):
    async def main():
        gate, log = rust.Gate(), []
        coroutine = rust.persistent(gate, log)
        future = coroutine.send(None)
        error = asyncio.CancelledError("by hand")
        assert coroutine.throw(error) is future
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
        await until(lambda: log)
        assert log == [error]
        gate.open("value")
        await asyncio.wait([future])
        with pytest.raises(StopIteration) as caught:
            coroutine.send(None)
        assert caught.value.value == "value"

    run(main())


@pytest.mark.parametrize("end", ["close", "drop", "throw"])
def test_what_is_no_cancellation_drops_a_cancellable_future(run, rust, end):
    async def main():
        gate, log = rust.Gate(), []
        coroutine = rust.persistent(gate, log)
        coroutine.send(None)
        if end == "close":
            coroutine.close()
        elif end == "throw":
            with pytest.raises(LookupError):
                coroutine.throw(LookupError)
        else:
            del coroutine
        gate.wait_until_dropped()
        assert log == []

    run(main())


def test_a_cancellation_after_the_handle_is_gone_drops_the_future(run, rust):
    async def main():
        gate = rust.Gate()
        task = await suspended(rust.deaf(gate))
        task.cancel()
        await cancelled(task)
        gate.wait_until_dropped()

        gate = rust.Gate()
        coroutine = rust.deaf(gate)
        coroutine.send(None)
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
        gate.wait_until_dropped()

    run(main())


def test_a_cancellation_waits_until_it_is_asked_for(run, rust):
    async def main():
        gate = rust.Gate()
        task = await suspended(rust.asks_afterwards(gate))
        task.cancel("meanwhile")
        await rust.lazy_turns(3, None)
        assert not task.done()
        gate.open(None)
        await cancelled(task)

        gate = rust.Gate()
        gate.open(None)
        assert await rust.asks_afterwards(gate) == "not cancelled"

    run(main())


def test_a_cancellation_that_the_handle_leaves_behind_drops_the_future(run, rust):
    async def main():
        first, second = rust.Gate(), rust.Gate()
        task = await suspended(rust.goes_deaf(first, second))
        assert task.cancel("left behind")
        first.open(None)
        error = await cancelled(task)
        assert error.args == ("left behind",) or sys.version_info < (3, 11)
        second.wait_until_dropped()

    run(main())


def test_a_cancellation_is_not_lost_with_a_handle_that_another_has(run, rust):
    async def main():
        gate = rust.Gate()
        coroutine, handle = rust.gives_its_handle_away(gate)
        task = await suspended(coroutine)
        await until(lambda: gate.polls)
        assert task.cancel()
        await rust.lazy_turns(5, None)
        assert not task.done()
        handle.drop()
        await cancelled(task)
        gate.wait_until_dropped()

    run(main())


def test_a_future_without_its_handle_goes_on_while_nobody_cancels(run, rust):
    async def main():
        first, second = rust.Gate(), rust.Gate()
        task = await suspended(rust.goes_deaf(first, second))
        first.open(None)
        await until(lambda: second.polls)
        second.open("value")
        assert await task == "value"

    run(main())


@pytest.mark.parametrize("raises", [False, True])
def test_a_cancellation_that_nobody_took_comes_before_a_value_and_after_an_error(run, rust, raises):
    """As of a task that ends before its cancellation has reached it."""

    async def main():
        gate = rust.Gate()
        task = await suspended(rust.never_asks(gate))
        assert task.cancel("not asked for")
        if raises:
            gate.fail(LookupError("from Rust"))
            with pytest.raises(LookupError, match="from Rust"):
                await task
        else:
            gate.open("value")
            error = await cancelled(task)
            assert error.args == ("not asked for",) or sys.version_info < (3, 11)

    run(main())


def test_a_cancellable_future_that_is_done_is_not_cancelled(run, rust):
    async def main():
        gate, log = rust.Gate(), []
        coroutine = rust.persistent(gate, log)
        future = coroutine.send(None)
        gate.open("value")
        await asyncio.wait([future])
        assert not future.cancel()
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError)
        assert log == []

    run(main())


def test_anyio_cancels_again_until_the_clean_up_is_over(run, rust):
    async def main():
        gate, log = rust.Gate(), []
        async with anyio.create_task_group() as group:
            group.start_soon(rust.persistent, gate, log)
            await anyio.sleep(0)
            group.cancel_scope.cancel()
            asyncio.ensure_future(until(lambda: len(log) > 2)).add_done_callback(lambda _: gate.open(None))
        assert all(isinstance(error, asyncio.CancelledError) for error in log) and len(log) > 2

    run(main())


@pytest.mark.parametrize("open_first", [False, True])
def test_cancel_and_completion_race_to_exactly_one_outcome(run, rust, open_first):
    async def main():
        for _ in range(500):
            gate = rust.Gate()
            task = await suspended(gate.coroutine())
            if open_first:
                gate.open("open")
            assert task.cancel()
            if not open_first:
                gate.open("open")
            await cancelled(task)

    run(main())

"""Cancelling a coroutine drops its Rust future, or delivers the cancellation to its handle."""

import asyncio
import inspect
import sys

import anyio
import pytest


async def suspended(coroutine):
    """A task that is suspended on the Rust future."""
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
    """Lets the loop turn until the runtime makes a condition true."""
    while not is_true():
        await asyncio.sleep(0)


@pytest.mark.parametrize("cancellable", [False, True])
def test_a_task_cancelled_before_its_first_step_never_starts_the_coroutine(run, rust, cancellable):
    async def main():
        gate, log = rust.Gate(), []
        task = asyncio.ensure_future(rust.persistent(gate, log) if cancellable else gate.coroutine())
        task.cancel()
        await cancelled(task)
        gate.wait_until_dropped()
        assert gate.polls == 0 and log == []

    run(main())


def test_cancelling_drops_the_rust_future_at_once_without_another_poll(run, rust):
    async def main():
        gate = rust.Gate()
        task = await suspended(gate.coroutine())
        holds = [rust.Hold() for _ in range(rust.WORKERS)]
        polls = gate.polls
        gate.open("the future is woken, and nobody can poll it")
        task.cancel("enough")
        for hold in holds:
            hold.let_go()
        # The loop does not turn here.
        gate.wait_until_dropped()
        assert gate.polls == polls
        # Python 3.9 and 3.10 may make a new error for the awaiter, without the message.
        assert (await cancelled(task)).args == ("enough",) or sys.version_info < (3, 11)
        for hold in holds:
            hold.future.cancel()

    run(main())


def test_a_cancellation_after_the_outcome_but_before_the_wake_up_wins(run, rust):
    async def main():
        gate = rust.Gate()
        coroutine = gate.coroutine()
        future = None

        async def waiter():
            return await coroutine

        task = asyncio.ensure_future(waiter())
        await asyncio.sleep(0)
        future = coroutine.cr_await
        # The callback runs as soon as the outcome is set. The task is woken after it.
        accepted = []
        other = rust.Gate()
        first = other.wait()
        first.add_done_callback(lambda first: (future.set_result("value"), accepted.append(task.cancel())))
        other.open(None)
        await cancelled(task)
        assert accepted == [True] and future.result() == "value"
        gate.wait_until_dropped()

    run(main())


def test_the_end_of_the_loop_drops_plain_coroutines_and_cancels_cancellable_ones(rust, new_loop):
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

    def test_a_timeout_drops_the_coroutine_and_uncancels_the_task(run, rust):
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

    def test_returning_a_value_after_a_timeout_suppresses_the_timeout_error(run, rust):
        """An `async def` that swallows its cancellation does the same: `asyncio.timeout` raises only if the cancellation reaches it."""

        async def main():
            gate, clean, log = rust.Gate(), rust.Gate(), []
            clean.open(None)
            async with asyncio.timeout(0.001) as scope:
                assert await gate.cancellable_coroutine(log, clean, "value") == "value"
            assert scope.expired() and len(log) == 1

        run(main())


def test_the_clean_up_does_not_block_the_loop_and_ends_with_the_cancellation(run, rust):
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


def test_the_handle_receives_each_cancellation_once(run, rust):
    async def main():
        gate, log = rust.Gate(), []
        task = await suspended(rust.persistent(gate, log))
        for number in range(5):
            task.cancel(number)
            await until(lambda number=number: len(log) > number)
        # No cancellation is delivered twice.
        await rust.lazy_turns(5, None)
        gate.open("value")
        assert await task == "value"
        assert [error.args for error in log] == [(number,) for number in range(5)]

    run(main())


def test_a_second_cancellation_does_not_interrupt_the_clean_up(run, rust):
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


def test_throwing_cancelled_error_delivers_it_to_the_handle(run, rust):
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
def test_ending_a_cancellable_coroutine_without_a_cancellation_drops_it(run, rust, end):
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


def test_a_cancellation_after_the_handle_is_dropped_drops_the_future(run, rust):
    async def main():
        gate = rust.Gate()
        task = await suspended(rust.drops_handle_at_once(gate))
        task.cancel()
        await cancelled(task)
        gate.wait_until_dropped()

        gate = rust.Gate()
        coroutine = rust.drops_handle_at_once(gate)
        coroutine.send(None)
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
        gate.wait_until_dropped()

    run(main())


def test_a_cancellation_waits_until_the_future_asks_for_it(run, rust):
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


def test_dropping_the_handle_with_an_unseen_cancellation_drops_the_future(run, rust):
    async def main():
        first, second = rust.Gate(), rust.Gate()
        task = await suspended(rust.drops_handle_at_gate(first, second))
        assert task.cancel("left behind")
        first.open(None)
        error = await cancelled(task)
        assert error.args == ("left behind",) or sys.version_info < (3, 11)
        second.wait_until_dropped()

    run(main())


def test_dropping_a_handle_held_elsewhere_does_not_lose_the_cancellation(run, rust):
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


def test_a_future_continues_after_it_drops_its_handle(run, rust):
    async def main():
        first, second = rust.Gate(), rust.Gate()
        task = await suspended(rust.drops_handle_at_gate(first, second))
        first.open(None)
        await until(lambda: second.polls)
        second.open("value")
        assert await task == "value"

    run(main())


@pytest.mark.parametrize("raises", [False, True])
def test_an_unseen_cancellation_replaces_a_value_but_not_an_error(run, rust, raises):
    """A task that ends before its cancellation is thrown into it does the same."""

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


def test_a_finished_cancellable_future_receives_no_cancellation(run, rust):
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


def test_anyio_repeats_the_cancellation_until_the_clean_up_ends(run, rust):
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

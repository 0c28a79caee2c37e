"""Cancelling in Python drops the Rust future promptly and once, and the future is never polled again."""

import asyncio
import random

import pytest


def cancel(future):
    assert future.cancel()


def test_cancelling_the_future_drops_the_rust_future(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        assert future.cancel()
        # The loop does not turn here, and the drop does not need it.
        gate.wait_until_dropped()
        assert not gate.open("too late")
        assert future.cancelled()

    run(main())


def test_cancelling_the_awaiting_task_drops_the_rust_future(run, rust):
    """https://github.com/awestlake87/pyo3-asyncio/issues/47"""

    async def main():
        gate = rust.Gate()

        async def waiter():
            await gate.wait()

        task = asyncio.ensure_future(waiter())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.wait_until_dropped()

    run(main())


def test_a_timeout_drops_the_rust_future(run, rust):
    async def main():
        gate = rust.Gate()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gate.wait(), 0.001)
        gate.wait_until_dropped()

    run(main())


def test_a_woken_future_is_not_polled_after_a_cancel(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        # Occupy every thread of the runtime, so that it polls no other future until they are released. The future
        # was spawned before the holds: its first poll is over by now, or does not come before the release.
        holds = [rust.Hold() for _ in range(rust.WORKERS)]
        polls = gate.polls
        gate.open("the future is woken")
        assert future.cancel()
        for hold in holds:
            hold.let_go()
        gate.wait_until_dropped()
        assert gate.polls == polls
        assert future.cancelled()
        for hold in holds:
            hold.future.cancel()

    run(main())


def test_cancelling_an_unpolled_future_drops_it_unpolled(run, rust):
    async def main():
        holds = [rust.Hold() for _ in range(rust.WORKERS)]
        gate = rust.Gate()
        future = gate.wait()
        assert future.cancel()
        for hold in holds:
            hold.let_go()
        gate.wait_until_dropped()
        assert gate.polls == 0
        for hold in holds:
            hold.future.cancel()

    run(main())


def test_cancelling_does_not_wait_for_a_running_poll(run, rust):
    async def main():
        hold = rust.Hold()
        assert hold.future.cancel()
        assert hold.future.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await hold.future
        hold.let_go()
        hold.wait_until_dropped()
        assert hold.polls == 1

    run(main())


def test_cancelling_drops_a_future_that_always_yields(run, rust):
    async def main():
        futures = [rust.turns(2**62, None) for _ in range(10)]
        await rust.turns(3, None)
        before = rust.dropped()
        for future in futures:
            future.cancel()
        rust.wait_until_live(rust.made() - before - len(futures))
        await asyncio.wait(futures)

    run(main())


def test_cancel_and_completion_race_to_exactly_one_outcome(run, rust):
    """https://github.com/awestlake87/pyo3-asyncio/issues/39"""

    async def main():
        outcomes, chance = set(), random.Random(1)
        for _ in range(1000):
            gate, calls = rust.Gate(), []
            future = gate.wait()
            future.add_done_callback(lambda future, calls=calls: calls.append(future.cancelled()))
            order = chance.choice(["cancel first", "complete first", "race"])
            if order != "cancel first":
                gate.open("open")
            if order == "race":
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            while order == "complete first" and not future.done():
                await asyncio.sleep(0)
            accepted = future.cancel()
            if order == "cancel first":
                gate.open("open")
            await asyncio.wait([future])
            await asyncio.sleep(0)
            assert calls == [accepted]
            assert future.cancelled() == accepted
            outcomes.add(accepted)
        return outcomes

    assert run(main()) == {True, False}


def test_the_cancel_message_reaches_the_awaiter(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        future.cancel("enough of this")
        with pytest.raises(asyncio.CancelledError) as caught:
            await future
        assert caught.value.args == ("enough of this",)

    run(main())


def test_a_callback_of_one_future_can_cancel_another(run, rust):
    async def main():
        first, second = rust.Gate(), rust.Gate()
        one, two = first.wait(), second.wait()
        one.add_done_callback(lambda one: two.cancel())
        first.open(None)
        with pytest.raises(asyncio.CancelledError):
            await two
        second.wait_until_dropped()

    run(main())


def test_cancelling_during_remove_done_callback_calls_the_other_callbacks(run, rust):
    async def main():
        future, calls = rust.never(), []

        class Cancels:
            def __eq__(self, other):
                return future.cancel()

        future.add_done_callback(calls.append)
        # `list.remove` calls this `__eq__`.
        future.remove_done_callback(Cancels())
        await asyncio.sleep(0)
        assert calls == [future]

    run(main())


def test_the_end_of_asyncio_run_drops_the_awaited_rust_futures(rust, new_loop):
    from conftest import end

    gates = [rust.Gate() for _ in range(20)]

    async def waiter(gate):
        await gate.wait()

    async def main():
        for gate in gates:
            asyncio.ensure_future(waiter(gate))
        await asyncio.sleep(0)

    loop = new_loop()
    loop.run_until_complete(main())
    end(loop)
    for gate in gates:
        gate.wait_until_dropped()

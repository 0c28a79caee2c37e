"""The counters, as a module shows them to Python."""

import asyncio
import datetime
import time

import pytest

from conftest import eventually


@pytest.fixture
def since(rust):
    """What has been counted since the test began."""
    before = rust.metrics()

    def since():
        return {name: value - before[name] for name, value in rust.metrics().items()}

    return since


def test_futures_are_counted_while_they_are_in_flight(run, rust, since):
    async def main():
        futures = [rust.never() for _ in range(10)]
        assert since()["rust_futures"] == 10
        for future in futures:
            future.cancel()
        await asyncio.wait(futures)

    run(main())
    assert eventually(lambda: since()["rust_futures"] == 0)


def test_awaitables_are_counted_while_rust_awaits_them(run, rust, since):
    async def main():
        opened = asyncio.Event()
        waiting = [asyncio.ensure_future(rust.into_future(opened.wait()).wait()) for _ in range(10)]
        await rust.turns(1, None)
        assert since()["python_tasks"] == 10
        opened.set()
        await asyncio.gather(*waiting)

    run(main())
    assert eventually(lambda: since()["python_tasks"] == 0)


def test_a_burst_is_one_wake_up(loop, run, rust, since):
    """The loop does not turn while the gates are opened."""

    async def main():
        gates = [rust.Gate() for _ in range(50)]
        futures = [gate.wait() for gate in gates]
        await rust.turns(1, None)
        # A job's turn is counted when it is over.
        await asyncio.sleep(0)
        before = since()
        for gate in gates:
            gate.open(None)
            gate.wait_until_dropped()
        await asyncio.wait(futures)
        await asyncio.sleep(0)
        return {name: value - before[name] for name, value in since().items()}

    burst = run(main())
    assert burst["jobs"] == 50
    # The last result may come after the drop that was waited for.
    assert 1 <= burst["wake_ups"] <= 2
    assert burst["mailbox_wait"] > datetime.timedelta(0)
    assert rust.metrics()["largest_burst"] >= 49
    assert rust.metrics()["longest_mailbox_wait"] > datetime.timedelta(0)


def test_a_burst_of_calls_is_one_wake_up(run, rust, since):
    """The loop does not turn while the calls are posted."""
    called = []

    async def main():
        await rust.turns(1, None)
        # A job's turn is counted when it is over.
        await asyncio.sleep(0)
        before = since()
        future = rust.post_calls(called.append, 100)
        assert called == []
        await future
        await asyncio.sleep(0)
        return {name: value - before[name] for name, value in since().items()}

    burst = run(main())
    assert called == list(range(100))
    # The calls, and the result of the future that awaits them.
    assert burst["jobs"] == 101
    assert 1 <= burst["wake_ups"] <= 2
    assert rust.metrics()["largest_burst"] >= 100


# uvloop does not time the readers of descriptors.
@pytest.mark.parametrize("new_loop", ["asyncio"], indirect=True)
def test_a_call_that_blocks_the_loop_is_logged_in_debug_mode(loop, run, rust, caplog):
    async def main():
        await rust.post_calls(lambda number: time.sleep(0.2), 1)

    loop.set_debug(True)
    loop.slow_callback_duration = 0.1
    run(main())
    messages = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert any("Drain" in message and " took 0." in message for message in messages), messages
    # The records hold what was called.
    caplog.clear()


def test_a_turn_of_the_drain_is_bounded_and_the_loop_s_other_work_comes_in_between(loop, run, rust):
    """The loop stands still until everything is there."""

    async def main():
        ticks, seen = 0, []

        def tick():
            nonlocal ticks
            ticks += 1
            if len(seen) < len(gates):
                loop.call_soon(tick)

        gates = [rust.Gate() for _ in range(1000)]
        futures = [gate.wait() for gate in gates]
        for future in futures:
            future.add_done_callback(lambda future: seen.append(ticks))
        await rust.turns(1, None)
        for gate in gates:
            gate.open(None)
            gate.wait_until_dropped()
        tick()
        await asyncio.wait(futures)
        return seen

    seen = run(main())
    assert len(seen) == 1000
    assert seen[0] < seen[-1]
    assert rust.metrics()["largest_burst"] <= 128

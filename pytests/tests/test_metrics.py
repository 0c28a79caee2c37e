"""The counters of `metrics`, seen from Python."""

import asyncio
import datetime

import pytest

from conftest import eventually


@pytest.fixture
def since(rust):
    """The counts since the start of the test."""
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


def test_many_completions_share_one_wake_up(loop, run, rust, since):
    """The loop does not turn while the test opens the gates."""

    async def main():
        gates = [rust.Gate() for _ in range(50)]
        futures = [gate.wait() for gate in gates]
        await rust.turns(1, None)
        # A turn is counted at its end.
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
    # The last result may come after the drop that the test waits for.
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


def test_a_drain_is_bounded_and_lets_the_loop_do_other_work(loop, run, rust):
    """The loop does not turn until every future is complete."""

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

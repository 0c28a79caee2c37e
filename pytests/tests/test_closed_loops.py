"""A loop closes with everything in flight: nobody prints anything, nobody waits for ever, and nothing is left.

    pytest --loops 10000

closes ten thousand of them.
"""

import asyncio
import collections
import gc
import os

import pytest
from conftest import descriptors, eventually, threads


def resident():
    """The memory of this process in bytes, where the system tells."""
    try:
        with open("/proc/self/statm") as sizes:
            return int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def objects():
    return collections.Counter(type(it).__name__ for it in gc.get_objects())


def leave_in_flight(rust, loop):
    """Runs the loop until all that can be under way is under way, and closes it then."""

    async def fail():
        raise ValueError("nobody hears of this")

    async def main():
        gates = [rust.Gate() for _ in range(4)]
        pending, failed, done, cancelled = (gate.wait() for gate in gates)
        waiter = asyncio.ensure_future(asyncio.wait([pending, failed]))
        await rust.turns(1, None)
        cancelled.cancel()
        started = rust.into_future(asyncio.sleep(3600))
        awaited = rust.into_future(asyncio.sleep(3600)).wait()
        failing = rust.into_future(fail()).wait()
        never = rust.never(), rust.nap(3600)
        rust.into_future(asyncio.sleep(3600)).drop()
        await rust.turns(1, None)
        waiter.cancel()
        # These come when the loop has made its last turn.
        gates[1].fail(ValueError("the loop is closed by then"))
        gates[2].open("a value")
        unstarted = rust.into_future(asyncio.sleep(3600))
        return [pending, failed, done, awaited, failing, never, started, unstarted], gates

    kept, gates = loop.run_until_complete(main())
    loop.close()
    return kept, gates


def learn_of_the_end(rust, kept):
    """Rust code that waits for Python hears at once that nothing comes any more."""
    for task in kept[-2:]:
        with pytest.raises(rust.LoopClosed):
            task.block()


def close_many(rust, new_loop, count):
    reports = set()
    for number in range(count):
        loop = new_loop()
        # Of an error that came before the end, and that nobody asked for, asyncio says so itself.
        loop.set_exception_handler(lambda loop, context: reports.add(context["message"]))
        kept, gates = leave_in_flight(rust, loop)
        learn_of_the_end(rust, kept)
        if number % 2:
            # A completion that comes long after the end of the loop.
            gates[0].open("nobody listens")
        del kept, gates, loop
        if number % 10 == 9:
            # Futures that are never done go on in the background, and hold the locals that they were started with.
            assert rust.shutdown(30)
            gc.collect()
    assert reports <= {"RustFuture exception was never retrieved"}


def test_nothing_is_left_of_a_loop_that_closes_with_everything_in_flight(rust, new_loop, pytestconfig):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/90"""
    live = rust.made() - rust.dropped()
    close_many(rust, new_loop, 20)
    rust.workers()
    before = descriptors(), threads(), objects(), resident()
    loops = pytestconfig.getoption("loops")
    close_many(rust, new_loop, loops)
    rust.wait_until_live(live)
    rust.workers()
    gc.collect()
    assert eventually(lambda: len(descriptors()) <= len(before[0])), (before[0], descriptors())
    assert eventually(lambda: threads() <= before[1])
    more = objects() - before[2]
    assert not [name for name, count in more.items() if count >= loops], more
    # What grows with the number of loops would grow by more than this.
    assert resident() - before[3] < 8 * 2**20 + 2**10 * loops, (before[3], resident())

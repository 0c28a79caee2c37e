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


def in_every_way(rust, gates):
    """What waits for a gate, in each way in which Python awaits Rust. The gates are appended to `gates`."""

    def gate():
        gates.append(rust.Gate())
        return gates[-1]

    exported, log = rust.tokio, []
    awaitables = [
        gate().wait(),
        gate().eager(),
        gate().wait_here(object()),
        gate().coroutine(),
        rust.persistent(gate(), log),
        exported.pass_through(gate()),
        exported.eager_pass_through(gate()),
        exported.pass_or_clean_up(gate(), rust.Gate(), log),
        exported.Counter().add(gate()),
        exported.Counter().read(gate()),
    ]
    futures = [asyncio.ensure_future(it) for it in awaitables]
    for future in futures:
        if isinstance(future, asyncio.Task):
            # Of a task that is not done when nobody has it any more asyncio says so itself.
            future._log_destroy_pending = False
    return futures


def leave_in_flight(rust, loop):
    """Runs the loop until all that can be under way is under way, and closes it then."""

    async def fail():
        raise ValueError("nobody hears of this")

    async def main():
        gates = {"pending": [], "failed": [], "done": [], "cancelled": []}
        futures = {end: in_every_way(rust, gates[end]) for end in gates}
        waiter = asyncio.ensure_future(asyncio.wait([*futures["pending"], *futures["failed"]]))
        await rust.turns(1, None)
        for future in futures["cancelled"]:
            future.cancel()
        started = rust.into_future(asyncio.sleep(3600))
        awaited = rust.into_future(asyncio.sleep(3600)).wait()
        failing = rust.into_future(fail()).wait()
        never = rust.never(), rust.nap(3600)
        rust.into_future(asyncio.sleep(3600)).drop()
        await rust.turns(1, None)
        waiter.cancel()
        # These come when the loop has made its last turn.
        for gate in gates["failed"]:
            gate.fail(ValueError("the loop is closed by then"))
        for gate in gates["done"]:
            gate.open("a value")
        unstarted = rust.into_future(asyncio.sleep(3600))
        return [futures, awaited, failing, never, started, unstarted], gates

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
            # Completions that come long after the end of the loop.
            for gate in gates["pending"]:
                gate.open("nobody listens")
        del kept, gates, loop
        if number % 10 == 9:
            # Futures that are never done go on in the background, and hold the locals that they were started with.
            assert rust.shutdown(30)
            gc.collect()
    assert reports <= {f"{kind} exception was never retrieved" for kind in ("RustFuture", "Task")}


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

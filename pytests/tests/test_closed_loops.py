"""A loop closes with everything in flight: nothing is printed, nothing waits for ever, and nothing leaks.

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
    """The memory of this process in bytes, on systems that report it."""
    try:
        with open("/proc/self/statm") as sizes:
            return int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def objects():
    return collections.Counter(type(it).__name__ for it in gc.get_objects())


def futures_of_every_kind(rust, gates):
    """A pending future for each way in which Python awaits Rust. Appends their gates to `gates`."""

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
            # asyncio would report a pending task that is collected.
            future._log_destroy_pending = False
    return futures


def leave_in_flight(rust, loop):
    """Starts everything that can be in flight, and closes the loop then."""

    async def fail():
        raise ValueError("nobody hears of this")

    async def main():
        gates = {"pending": [], "failed": [], "done": [], "cancelled": []}
        futures = {end: futures_of_every_kind(rust, gates[end]) for end in gates}
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
        # These outcomes arrive after the last turn of the loop.
        for gate in gates["failed"]:
            gate.fail(ValueError("the loop is closed by then"))
        for gate in gates["done"]:
            gate.open("a value")
        unstarted = rust.into_future(asyncio.sleep(3600))
        return [futures, awaited, failing, never, started, unstarted], gates

    kept, gates = loop.run_until_complete(main())
    loop.close()
    return kept, gates


def assert_waiting_rust_sees_the_end(rust, kept):
    """Asserts that Rust code that awaits Python ends at once with `LoopClosed`."""
    for task in kept[-2:]:
        with pytest.raises(rust.LoopClosed):
            task.block()


def close_many(rust, new_loop, count):
    reports = set()
    for number in range(count):
        loop = new_loop()
        # asyncio reports an unretrieved error that came before the end.
        loop.set_exception_handler(lambda loop, context: reports.add(context["message"]))
        kept, gates = leave_in_flight(rust, loop)
        assert_waiting_rust_sees_the_end(rust, kept)
        if number % 2:
            # These completions come long after the end of the loop.
            for gate in gates["pending"]:
                gate.open("nobody listens")
        del kept, gates, loop
        if number % 10 == 9:
            # Futures that never end keep running and hold their locals.
            assert rust.shutdown(30)
            gc.collect()
    assert reports <= {f"{kind} exception was never retrieved" for kind in ("RustFuture", "Task")}


def test_closing_a_loop_with_everything_in_flight_leaks_nothing(rust, new_loop, pytestconfig):
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
    # A leak for each loop would exceed this.
    assert resident() - before[3] < 8 * 2**20 + 2**10 * loops, (before[3], resident())

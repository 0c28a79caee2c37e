"""Rust wakes a loop that does not watch its descriptor, whatever `add_reader` does instead."""

import asyncio
import gc
import os
import stat
import subprocess
import sys
import textwrap

import pytest
from conftest import LOOPS, descriptors, eventually, threads
from test_processes import environment


class Missing:
    @property
    def add_reader(self):
        raise AttributeError("this loop has no add_reader")


class Unsupported:
    """As the proactor loop of Windows."""

    def add_reader(self, *args):
        raise NotImplementedError


class OnlySockets:
    """As a selector loop on Windows."""

    def add_reader(self, watched, *args):
        number = watched if isinstance(watched, int) else watched.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(10038, "an operation was attempted on something that is not a socket")
        return super().add_reader(watched, *args)


class NoMoreDescriptors:
    def add_reader(self, watched, *args):
        raise ValueError(f"{watched} is out of range for select()")


BEHAVIOURS = [Missing, Unsupported, OnlySockets, NoMoreDescriptors]


def kind_of(loop, behaviour):
    """A class of loops like this one, with this `add_reader`."""
    loop.close()
    return type("Loop", (behaviour, type(loop)), {})


@pytest.fixture(params=[f"{behaviour.__name__}-{loop}" for behaviour in BEHAVIOURS for loop in LOOPS])
def new_loop(request, complaints):
    behaviour, loop = request.param.split("-")
    kind = kind_of(LOOPS[loop](), globals()[behaviour])

    def new_loop():
        loop = kind()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        return loop

    return new_loop


@pytest.fixture(scope="module", autouse=True)
def helper(warm):
    """Starts the helper thread, which lives as long as the process."""
    import pyo3_asyncio_pytests as rust

    loop = kind_of(asyncio.new_event_loop(), Unsupported)()
    loop.run_until_complete(cross(rust))
    loop.close()


async def cross(rust):
    """Takes every way between the two sides once."""
    gates = [rust.Gate() for _ in range(6)]
    future, eager, here, lost = gates[0].wait(), gates[1].eager(), gates[2].wait_here(object()), gates[4].wait()
    coroutine = asyncio.ensure_future(gates[3].coroutine())
    await rust.turns(3, None)
    for number, gate in enumerate(gates[:4]):
        gate.open(number)
    lost.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lost
    # This one comes while the loop sleeps, from a thread that knows nothing of Python.
    await rust.nap(0.001)
    return await asyncio.gather(future, eager, here, coroutine, rust.into_future(asyncio.sleep(0, 4)).wait())


def test_everything_crosses(run, rust):
    assert run(cross(rust)) == [0, 1, 2, 3, 4]


def test_a_burst_does_not_call_the_loop_for_each(loop, run, rust):
    calls, original = [], loop.call_soon_threadsafe

    def call_soon_threadsafe(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    loop.call_soon_threadsafe = call_soon_threadsafe

    async def main():
        await rust.turns(1, None)
        gates = [rust.Gate() for _ in range(100)]
        futures = [gate.wait() for gate in gates]
        for gate in gates:
            gate.open(None)
        # The loop's thread is attached, so the helper cannot call before the runtime has posted what it can.
        await asyncio.gather(*futures)

    run(main())
    assert 1 <= len(calls) < 100


def test_loops_in_a_row_leave_nothing(new_loop, rust):
    def use_loops(count):
        for _ in range(count):
            loop = new_loop()
            assert loop.run_until_complete(cross(rust)) == [0, 1, 2, 3, 4]
            loop.close()

    use_loops(5)
    gc.collect()
    before = len(descriptors()), threads()
    use_loops(300)
    gc.collect()
    assert eventually(lambda: len(descriptors()) <= before[0]), (before[0], descriptors())
    assert eventually(lambda: threads() <= before[1])


PROGRAM = """
    import asyncio, sys
    import pyo3_asyncio_pytests as rust

    sys.path.insert(0, {tests!r})
    from test_add_reader import LOOPS, kind_of, {behaviour}

    async def main():
        kept.append([rust.never(), rust.nap(60), asyncio.ensure_future(rust.sleep(60)), rust.into_future(asyncio.sleep(60))])
        await asyncio.gather(*(rust.turns(3, None) for _ in range(100)))

    kept = []
    loop = kind_of(LOOPS[{kind!r}](), {behaviour})()
    loop.run_until_complete(main())
    if {closes}:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
    print("done")
"""


@pytest.mark.parametrize("closes", [True, False], ids=["closes", "leaves_open"])
@pytest.mark.parametrize("behaviour", [behaviour.__name__ for behaviour in BEHAVIOURS])
@pytest.mark.parametrize("kind", LOOPS)
def test_a_process_ends_with_everything_in_flight(kind, behaviour, closes):
    source = textwrap.dedent(PROGRAM).format(tests=os.path.dirname(__file__), behaviour=behaviour, closes=closes, kind=kind)
    # A loop that is left open says so.
    command = [sys.executable, "-W", "ignore", "-c", source]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")

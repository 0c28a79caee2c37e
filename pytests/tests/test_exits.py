"""Programs end with the right status, silently and in time, whatever is in flight.

    pytest --exits 1000

runs a thousand programs in all, with a strict time limit for each.
"""

import functools
import signal
import subprocess
import sys
import time

import pytest
from test_processes import START, environment, program, without_frames

# The counterpart in Python: a thread computes while the program ends. A traceback then takes longer to print, because the main
# thread waits for the interpreter again and again.
COMPUTES = """
        threading.Thread(target=compute, daemon=True).start()
        await computing()
"""

LOOPS_IN_THREADS = """
        async def run():
            while True:
                await asyncio.gather(*({turn} for _ in range(20)))
                running.release()
        running = threading.Semaphore(0)
        for _ in range(2):
            threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
            running.acquire()
"""

# What is in flight when a program ends, and the counterpart without Rust.
IN_FLIGHT = {
    "futures that are pending": (
        """
        kept.append([rust.never() for _ in range(5_000)])
        kept.append([rust.nap(60) for _ in range(5_000)])
        kept.append([asyncio.ensure_future(rust.sleep(60)) for _ in range(20)])
    """,
        "",
    ),
    "completions that arrive": (
        """
        gates = [rust.Gate() for _ in range(10_000)]
        kept.append([gate.wait() for gate in gates])
        opener = threading.Thread(target=lambda: [gate.open(None) for gate in gates], daemon=True)
        opener.start()
        await kept[-1][0]
    """,
        "",
    ),
    "streams that are iterated over": (
        """
        feeds = [rust.Feed() for _ in range(1_000)]
        generators = [feed.generator() for feed in feeds]
        for feed, generator in zip(feeds, generators):
            feed.send(1, 2)
            await generator.__anext__()
        for generator in generators[:20]:
            await generator.__anext__()
        kept.append([feeds, generators, [asyncio.ensure_future(next_of(generator)) for generator in generators[:20]]])
        await rust.turns(1, None)
    """,
        "",
    ),
    "loops in daemon threads": (LOOPS_IN_THREADS.format(turn="rust.turns(1, None)"), LOOPS_IN_THREADS.format(turn="asyncio.sleep(0)")),
    "workers that attach": (
        """
        kept.append([rust.call_for_ever(lambda: sum(range(1000))) for _ in range(4)])
        await rust.turns(20, None)
    """,
        COMPUTES,
    ),
    "functions that Rust calls on the loop": (
        """
        kept.append([rust.call_on_loop_for_ever(lambda: sum(range(100))) for _ in range(4)])
        await rust.turns(20, None)
    """,
        "",
    ),
    "coroutines that Rust runs on the loop": (
        """
        kept.append([rust.run_coroutines_for_ever(lambda: asyncio.sleep(0)) for _ in range(4)])
        await rust.turns(20, None)
    """,
        "",
    ),
    "async generators that Rust iterates over": (
        """
        started = []
        async def ones():
            started.append(True)
            try:
                while True:
                    yield 1
                    await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0)
        kept.append([rust.sum_items(ones()) for _ in range(4)])
        # A stream that starts while the loop ends has nobody who cancels it.
        while len(started) < 4:
            await rust.turns(1, None)
    """,
        "",
    ),
    "a worker that sits in its poll": (
        """
        kept.append(rust.Hold())
    """,
        "",
    ),
    "block_on in daemon threads": (
        """
        waits = threading.Event(), threading.Event()
        threading.Thread(target=rust.block_on, args=(waits[0].set,), daemon=True).start()
        threading.Thread(target=rust.block_on_busy, args=(waits[1].set,), daemon=True).start()
        for wait in waits:
            wait.wait()
    """,
        "",
    ),
    "callbacks of block_on in daemon threads": (
        """
        async def callback(depth):
            await asyncio.sleep(0)
            await rust.turns(1, None)
            return depth and rust.tokio.call_back_now(lambda: callback(depth - 1))
        async def waits_for_ever():
            running.release()
            await asyncio.Event().wait()
        def run():
            while True:
                rust.tokio.call_back_now(lambda: callback(2))
                running.release()
        running = threading.Semaphore(0)
        threading.Thread(target=rust.tokio.call_back_now, args=(waits_for_ever,), daemon=True).start()
        running.acquire()
        threading.Thread(target=run, daemon=True).start()
        for _ in range(20):
            running.acquire()
    """,
        "",
    ),
}

# How the program ends, and its exit status.
ENDS = {
    "its main returns": ("pass", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise ValueError('the end')", 1),
    "a signal that is handled": ("os.kill(os.getpid(), signal.SIGTERM)\n    await asyncio.sleep(60)", 4),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT)\n    await asyncio.sleep(60)", -signal.SIGINT),
}

PROGRAM = """
import os, signal
kept = []

async def next_of(generator):
    return await generator.__anext__()

is_computing = threading.Event()

def compute():
    is_computing.set()
    while True:
        sum(range(1000))

async def computing():
    await asyncio.get_running_loop().run_in_executor(None, is_computing.wait)

async def main():
    {body}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
    print("done", flush=True)
    {end}
"""


def source(in_flight, end, kind):
    body = "\n    ".join(line.strip("\n")[8:] for line in in_flight.splitlines()) or "pass"
    return program(PROGRAM.format(body=body, end=end), kind)


def ending(source):
    """Runs a program. Returns how it ended, and how long the end took."""
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout.readline() == "done\n", process.stderr.read()
        begin = time.monotonic()
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    return (process.returncode, out, without_frames(err)), time.monotonic() - begin


@pytest.fixture(scope="module")
def late(pytestconfig):
    """How much later the programs ended than without Rust. The test run prints the worst at its end."""
    late = {}
    yield late
    plugins = pytestconfig.pluginmanager
    worst = max(late, key=late.get)
    reporter = plugins.getplugin("terminalreporter")
    if reporter is None:  # One of several processes of the tests.
        return
    with plugins.getplugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line(f"\nthe latest exit: {late[worst]:.2f} s later than without Rust ({', '.join(worst)})")


class Reference:
    """How a program ends without Rust, and the longest time that it took.

    The time varies from a tenth of a second to one second: a traceback is slow to print while other threads run Python code.
    """

    def __init__(self, source):
        self.source, self.seconds = source, 0
        self.run(1)

    def run(self, times):
        for _ in range(times):
            self.ended, seconds = ending(self.source)
            self.seconds = max(self.seconds, seconds)

    def lateness(self, seconds, latest):
        """How much later than the reference a program ended. If it is too late, this runs the reference more often first."""
        for _ in range(5):
            if seconds - self.seconds > latest:
                self.run(10)
        return seconds - self.seconds


@functools.cache
def reference(source):
    return Reference(source)


def pytest_generate_tests(metafunc):
    few = ["its main returns", "Ctrl-C"]
    metafunc.parametrize("end", few if metafunc.config.getoption("brief") else ENDS)


@pytest.mark.parametrize("kind", START)
@pytest.mark.parametrize("in_flight", IN_FLIGHT)
def test_a_program_ends_as_it_does_without_rust(pytestconfig, late, in_flight, end, kind):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/40"""
    exits_in_all = pytestconfig.getoption("exits")
    exits = exits_in_all // (len(START) * len(ENDS) * len(IN_FLIGHT))
    with_rust, without_rust = IN_FLIGHT[in_flight]
    statement, status = ENDS[end]
    expected = reference(source(without_rust, statement, kind))
    assert expected.ended[0] == status
    # Our part of the exit takes at most 0.3 s. On a machine that may be busy, the test only rules out many times that.
    latest = 0.5 if exits_in_all >= 1000 else 10
    for _ in range(max(exits, 1)):
        ended, seconds = ending(source(with_rust, statement, kind))
        assert ended == expected.ended
        seconds = expected.lateness(seconds, latest)
        assert seconds <= latest
        late[in_flight, end, kind] = max(seconds, late.get((in_flight, end, kind), seconds))

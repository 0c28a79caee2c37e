"""Programs end with the right status, in silence and in time, whatever is in flight: each way many times.

    pytest --exits 1000

makes a thousand exits of them in all.
"""

import signal
import subprocess
import sys
import time

import pytest
from test_processes import START, environment, program, without_frames

# What is in flight when a program ends.
IN_FLIGHT = {
    "futures that are pending": """
        kept.append([rust.never() for _ in range(5_000)])
        kept.append([rust.nap(60) for _ in range(5_000)])
        kept.append([asyncio.ensure_future(rust.sleep(60)) for _ in range(20)])
    """,
    "completions that arrive": """
        gates = [rust.Gate() for _ in range(10_000)]
        kept.append([gate.wait() for gate in gates])
        opener = threading.Thread(target=lambda: [gate.open(None) for gate in gates], daemon=True)
        opener.start()
        await kept[-1][0]
    """,
    "loops in daemon threads": """
        async def spin():
            while True:
                await asyncio.gather(*(rust.turns(1, None) for _ in range(20)))
                spinning.release()
        spinning = threading.Semaphore(0)
        for _ in range(2):
            threading.Thread(target=lambda: asyncio.run(spin()), daemon=True).start()
            spinning.acquire()
    """,
    "workers that attach": """
        kept.append([rust.call_for_ever(lambda: sum(range(1000))) for _ in range(4)])
        await rust.turns(20, None)
    """,
    "a worker that sits in its poll": """
        kept.append(rust.Hold())
    """,
}

# How it ends, and with which status.
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
    """Runs a program: how it ended, and how long that took."""
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout.readline() == "done\n", process.stderr.read()
        begin = time.monotonic()
        out, err = process.communicate(timeout=120)
    return (process.returncode, out, without_frames(err)), time.monotonic() - begin


@pytest.mark.parametrize("kind", START)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("in_flight", IN_FLIGHT)
def test_a_program_ends_as_it_does_without_rust(pytestconfig, in_flight, end, kind):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/40"""
    exits = pytestconfig.getoption("exits") // (len(START) * len(ENDS) * len(IN_FLIGHT))
    statement, status = ENDS[end]
    without_rust, reference = ending(source("", statement, kind))
    assert without_rust[0] == status
    # The bound of the shutdown is 0.2 s. A busy machine makes some ends late, but not ten of them.
    in_time, ends = False, 0
    while ends < max(exits, 1) or not in_time and ends < 10:
        ended, seconds = ending(source(IN_FLIGHT[in_flight], statement, kind))
        assert ended == without_rust
        in_time |= seconds < reference + 0.5
        ends += 1
    assert in_time

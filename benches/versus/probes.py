"""The cases whose figures are not microseconds for each exchange: sleeps in flight, and a timer beside busy Python.

Each runs in a fresh process and gives its figures by name. `share` is the part of the full work that is done.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
import time
from statistics import quantiles

from cases import returns

SLEEPS = 100_000


def threads():
    return len(os.listdir("/proc/self/task"))


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def lateness(rust, share):
    """Sleeps of a second, all awaited at once: the time until the last result is there, less the second."""
    count = int(SLEEPS * share)
    await rust.sleep(0.0)
    start = time.perf_counter()
    sleeps = [rust.sleep(1.0) for _ in range(count)]
    made = time.perf_counter()
    most = threads()
    await asyncio.gather(*sleeps)
    end = time.perf_counter()
    return {
        "late since the first call, ms": (end - start - 1) * 1e3,
        "late since the last call, ms": (end - made - 1) * 1e3,
        "threads": max(most, threads()),
    }


async def memory(rust, share):
    """The growth of the resident set while the sleeps are in flight and nobody awaits them yet."""
    count = int(SLEEPS * share)
    await rust.sleep(0.0)
    sleeps = [None] * count
    gc.collect()
    gc.disable()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident_bytes()
    for index in range(count):
        sleeps[index] = rust.sleep(3600.0)
    while rust.sleeping() < count:
        await asyncio.sleep(0.01)
    return {"each, bytes": (resident_bytes() - before) / count}


async def timer(rust, share):
    """A task of the runtime sleeps 1 ms again and again, while a thread computes: first alone, then while 16 Rust tasks call Python."""
    stopping = threading.Event()

    def compute():
        while not stopping.is_set():
            sum(range(1000))

    async def serve():
        while not stopping.is_set():
            await rust.serve(returns, 16, 16)

    thread = threading.Thread(target=compute)
    thread.start()
    without_calls = await rust.timer_delays(max(1, 2 * share))
    serving = asyncio.ensure_future(serve())
    delays = await rust.timer_delays(max(1, 2 * share))
    stopping.set()
    await serving
    thread.join()
    return {
        "late without calls, 99th percentile, ms": percentile_99(without_calls),
        "late without calls, worst, ms": max(without_calls),
        "late, 99th percentile, ms": percentile_99(delays),
        "late, worst, ms": max(delays),
    }


def percentile_99(figures):
    return quantiles(figures, n=100, method="inclusive")[-1]


PROBES = {
    "sleeps in flight": lateness,
    "sleeps in flight, memory": memory,
    "1 ms timer while 16 Rust tasks call Python and a Python thread computes": timer,
}

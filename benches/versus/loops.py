"""Measures whether event loops in threads of their own hinder each other.

Each thread runs a loop that awaits one Rust future after the other. Without the GIL two loops do up to twice the work of one. The
row without Rust shows how far the interpreter and the machine allow it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from importlib.util import find_spec
from statistics import median

from child import load, new_loop
from runner import BUILT
from versus import LOOPS

WARM_UP, SECONDS, ROUNDS = 0.1, 0.5, 5


async def count_for(seconds, make):
    """How many awaitables end in so many seconds."""
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(16):
            await make()
        count += 16
    return count


def in_a_second(rust, loop, make, threads):
    """How many awaitables end in a second, on all loops together."""
    counts, start = [], threading.Barrier(threads)

    def run():
        event_loop = new_loop(loop, rust)
        event_loop.run_until_complete(count_for(WARM_UP, make))
        start.wait()
        counts.append(event_loop.run_until_complete(count_for(SECONDS, make)))
        event_loop.close()

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / SECONDS


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="how many loops to compare with one (default: 2)")
    parser.add_argument("--module", default=BUILT / "libversus_ours.so", help="another build of ours")
    options = parser.parse_args()
    rust = load(str(options.module))
    loops = [loop for loop in LOOPS if loop == "tokio" or find_spec(loop)]
    rows = [("`asyncio.sleep(0)`, without Rust", "asyncio", lambda: asyncio.sleep(0))]
    rows += [(f"a future that yields once, on {loop}", loop, rust.yields_once) for loop in loops]
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Awaited in a second, Python {sys.version.split()[0]} {'with' if gil else 'without'} the GIL, median of {ROUNDS}\n")
    print(f"| | one loop | {options.threads} loops | ratio |\n| --- | ---: | ---: | ---: |")
    for name, loop, make in rows:
        rounds = [[in_a_second(rust, loop, make, threads) for threads in (1, options.threads)] for _ in range(ROUNDS)]
        one, several = (median(column) for column in zip(*rounds))
        print(f"| {name} | {one:,.0f} | {several:,.0f} | {several / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()

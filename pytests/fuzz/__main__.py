"""Looks for sequences of operations that a future or a coroutine of Rust answers otherwise than asyncio's own.

An input is a byte string, and a byte an operation: `Machine.play` is a target for any fuzzer. Inputs that once failed are in
`corpus/`, and stay right.
"""

import argparse
import asyncio
import gc
import random
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))

import kinds  # noqa: E402 (what it imports is found where the path says)
import pyo3_asyncio_pytests as rust  # noqa: E402
from driver import Fuzzer  # noqa: E402
from machine import Difference, Machine  # noqa: E402

def main():
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long, for each kind")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)), help="a seed that was printed before")
    parser.add_argument("--only", choices=kinds.FILES, help="one kind")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rust.count_panics()
    # What is there already need not be looked through at each collection.
    gc.collect()
    gc.freeze()
    for name in [options.only] if options.only else kinds.FILES:
        fuzz(name, options)


def fuzz(name, options):
    loop = asyncio.new_event_loop()
    start, machine = time.monotonic(), Machine(kinds.module(name), rust, loop)
    try:
        fuzzer = Fuzzer(machine, kinds.read(name), random.Random(options.seed))
        while time.monotonic() < start + options.minutes * 60:
            fuzzer.step()
    except Difference as difference:
        print(f"{name}: {difference}\nfor the corpus, when it is right: {difference.data.hex()}")
        for operation in machine.decode(difference.data):
            print(f"    {operation}")
        raise SystemExit(1) from None
    finally:
        loop.close()
    took = time.monotonic() - start
    print(f"{name}: {fuzzer.played} inputs in {took:.0f} s, {len(fuzzer.inputs)} showed something new, no difference")


if __name__ == "__main__":
    main()

"""Searches for operations that a Rust future or coroutine answers differently from its counterpart in asyncio.

An input is a byte string, and each byte is an operation: `Machine.play` is a target for any fuzzer. `corpus/` holds the inputs
that once failed.
"""

import argparse
import asyncio
import gc
import random
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))

import kinds  # noqa: E402 (its imports are on the path above)
import pyo3_asyncio_pytests as rust  # noqa: E402
from driver import Fuzzer  # noqa: E402
from machine import Difference, Machine  # noqa: E402

def main():
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long to search, for each kind")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)), help="the seed of an earlier run")
    parser.add_argument("--only", choices=kinds.FILES, help="one kind")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rust.count_panics()
    # Exclude the existing objects from each collection.
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
        print(f"{name}: {difference}\nline for the corpus, after the fix: {difference.data.hex()}")
        for operation in machine.decode(difference.data):
            print(f"    {operation}")
        raise SystemExit(1) from None
    finally:
        loop.close()
    took = time.monotonic() - start
    print(f"{name}: {fuzzer.played} inputs in {took:.0f} s, {len(fuzzer.inputs)} showed something new, no difference")


if __name__ == "__main__":
    main()

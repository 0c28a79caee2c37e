"""Runs in a process of its own: measures one case on one side and one loop, or all of them in random order.

The arguments and the results are JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

import cases
import probes


def load(path):
    """The extension module in `path`, whatever the file is called."""
    spec = spec_from_file_location("workload", path, loader=ExtensionFileLoader("workload", path))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def new_loop(name, rust):
    if name == "tokio":
        return rust.new_event_loop()
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop()


async def timed(run, count):
    """Microseconds for each of `count`, on the clock and of the processor."""
    cpu, wall = time.process_time(), time.perf_counter()
    await run(count)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"wall": wall / count * 1e6, "cpu": cpu / count * 1e6}


async def warm_up(run, group, seconds):
    """Runs for about half of `seconds`. Gives the count that takes `seconds`."""
    count = group
    while True:
        each = (await timed(run, count))["wall"] / 1e6
        if count * each >= seconds / 5:
            return round_to(group, seconds / each)
        count = round_to(group, min(count * 16, seconds / 4 / each))


def round_to(group, count):
    return max(1, round(count / group)) * group


async def alone(rust, ports, case, seconds, share):
    """One case. `share` is the part of a fixed count that is done."""
    case = find(case)
    if case.needs and not hasattr(rust, case.needs):
        return None
    run = await case.prepare(rust, ports)
    if case.count:
        count = int(case.count * share)
        await run(count // 10)
    else:
        count = await warm_up(run, case.group, seconds)
    return await timed(run, count)


async def mix(rust, ports, counts, rounds, seed):
    """Every case of `counts` once in each round, in random order. The first round warms up."""
    order = random.Random(seed)
    runs = [(case, await find(case).prepare(rust, ports)) for case in counts]
    figures = {case: [] for case in counts}
    for number in range(1 + rounds):
        order.shuffle(runs)
        for case, run in runs:
            figure = await timed(run, counts[case])
            if number > 0:
                figures[case].append(figure)
    return figures


async def probe(rust, ports, name, share):
    return await probes.PROBES[name](rust, share)


def find(name):
    return next(case for case in cases.ALL if case.name == name)


def main():
    work = {"alone": alone, "mix": mix, "probe": probe}
    arguments = json.loads(sys.argv[1])
    run = work[arguments.pop("work")]
    rust = load(arguments.pop("module"))
    ports = cases.Ports(**arguments.pop("ports"))
    loop = new_loop(arguments.pop("loop"), rust)
    asyncio.set_event_loop(loop)
    result = loop.run_until_complete(run(rust, ports, **arguments))
    print(json.dumps(result), flush=True)
    # Sleeps of an hour may be left, and the peer's threads abort some processes while the interpreter finalizes.
    os._exit(0)


if __name__ == "__main__":
    main()

"""Runs one workload on pyo3-asyncio (ours) and on pyo3-async-runtimes (the peer), in turn, and prints how they compare."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import floor, log10
from statistics import median, quantiles

import bridges

SIDES = ("peer", "ours")

# ---- The workload. Each takes the module of one side and a count, and gives microseconds for one of `count`.


def way(side, name):
    """What a side offers for something. The predecessor has one way for everything."""
    return getattr(side, name, None) or side.ready


async def one_at_a_time(side, count, name="ready"):
    make = way(side, name)
    start = time.perf_counter()
    for _ in range(count):
        await make()
    return (time.perf_counter() - start) / count * 1e6


async def bare_coroutines(_, count):
    """PyO3's own coroutines, which poll on the thread that awaits and have no runtime."""
    return await one_at_a_time(bridges, count, "bare_coroutine")


async def futures_at_once(side, count):
    ready = side.ready
    start = time.perf_counter()
    for _ in range(count // 1000):
        await asyncio.gather(*[ready() for _ in range(1000)])
    return (time.perf_counter() - start) / count * 1e6


async def tasks_at_once(side, count):
    async def one():
        return await side.ready()

    start = time.perf_counter()
    for _ in range(count // 1000):
        await asyncio.gather(*[one() for _ in range(1000)])
    return (time.perf_counter() - start) / count * 1e6


async def through_gather(coroutines):
    await asyncio.gather(*coroutines)


async def through_group(coroutines):
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)


async def coroutines_at_once(side, count, through, name="coroutine"):
    """Without a side, they are Python's own and yield once."""
    make = yields_once if side is None else getattr(side, name, None)
    if make is None:

        async def make():
            return await side.ready()

    start = time.perf_counter()
    for _ in range(count // 1000):
        await through([make() for _ in range(1000)])
    return (time.perf_counter() - start) / count * 1e6


async def returns():
    return 1


async def yields_once():
    await asyncio.sleep(0)


async def rust_awaits_in_turn(side, count, function):
    start = time.perf_counter()
    await side.await_in_turn(function, count)
    return (time.perf_counter() - start) / count * 1e6


async def rust_awaits_at_once(side, count):
    start = time.perf_counter()
    await side.await_at_once(returns, count)
    return (time.perf_counter() - start) / count * 1e6


async def hops(_, count):
    """The floor: a reader callback of the loop that starts the next hop, with neither a future nor a coroutine."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    chain = bridges.Hops(count, done.set)
    loop.add_reader(chain.fileno(), chain)
    start = time.perf_counter()
    chain.start()
    await done.wait()
    elapsed = time.perf_counter() - start
    loop.remove_reader(chain.fileno())
    return elapsed / count * 1e6


async def bare_hops(_, count):
    """The same hops without a loop and without Python."""
    return bridges.bare_hops(count) / count * 1e6


async def timer_delays(side, seconds):
    """How late a 1 ms timer of the runtime fires, in milliseconds, while two threads compute and ten tasks await Rust.

    Without a side the tasks only yield to each other: what the machine and Python cost the timer without any bridge.
    """
    stopping = threading.Event()
    awaitable = side.ready if side else partial(asyncio.sleep, 0)

    def compute():
        while not stopping.is_set():
            sum(range(1000))

    async def await_rust():
        while not stopping.is_set():
            await awaitable()

    threads = [threading.Thread(target=compute) for _ in range(2)]
    watch = bridges.TimerWatch()
    for thread in threads:
        thread.start()
    tasks = [asyncio.ensure_future(await_rust()) for _ in range(10)]
    await asyncio.sleep(seconds)
    stopping.set()
    await asyncio.gather(*tasks)
    delays = watch.stop()
    for thread in threads:
        thread.join()
    return {"p99": quantiles(delays, n=100)[-1], "worst": max(delays)}


# ---- Sleeps in flight: each figure comes from a fresh process, so that no memory and no thread is left from before.


def thread_count():
    return len(os.listdir("/proc/self/task"))


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def lateness(side, count):
    """By how many seconds the last result comes later than a second after the first call, and after the last call."""
    before = thread_count()
    start = time.perf_counter()
    sleeps = [side.sleep(1.0) for _ in range(count)]
    made = time.perf_counter()
    threads = thread_count()
    await asyncio.gather(*sleeps)
    end = time.perf_counter()
    threads = max(threads, thread_count())
    return {"first": end - start - 1.0, "last": end - made - 1.0, "threads": threads, "threads before": before}


async def memory(side, count):
    """What the resident set grows by while `count` futures are held and their Rust halves sleep, for one of them."""
    await side.sleep(0.0)
    sleeps = [None] * count
    gc.collect()
    gc.disable()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident_bytes()
    for index in range(count):
        sleeps[index] = side.sleep(3600.0)
    while side.sleeping() < count:
        await asyncio.sleep(0.01)
    return {"bytes": (resident_bytes() - before) / count}


class Endless:
    """A coroutine, and what it waits for: the least that a task can hold."""

    _asyncio_future_blocking = True

    def __init__(self):
        self.callbacks = []

    def send(self, _):
        return self

    def throw(self, error):
        raise error

    def close(self):
        pass

    def __await__(self):
        return self

    def get_loop(self):
        return asyncio.get_running_loop()

    def add_done_callback(self, callback, context):
        self.callbacks.append(callback)
        self._asyncio_future_blocking = True


async def task_memory(side, count):
    """What the resident set grows by for each of `count` tasks, whose Rust halves sleep. Without a side nothing does.

    They begin a thousand at a time: a coroutine that has not begun is not what is measured.
    """
    endless = Endless()
    make = getattr(side, "sleep_coroutine", None)
    if make is None:

        async def make(seconds):
            return await side.sleep(seconds)

    await asyncio.sleep(0)
    tasks = [None] * count
    gc.collect()
    gc.disable()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident_bytes()
    loop = asyncio.get_running_loop()
    for index in range(count):
        tasks[index] = loop.create_task(make(3600.0) if side else endless)
        if index % 1000 == 999:
            await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    while side and side.sleeping() < count:
        await asyncio.sleep(0.01)
    return {"bytes": (resident_bytes() - before) / count}


PROBES = {"lateness": lateness, "memory": memory, "task_memory": task_memory}


def probe_in_this_process(arguments):
    side = getattr(bridges, arguments.side, None)
    loop = LOOPS[arguments.loop]()
    figures = loop.run_until_complete(PROBES[arguments.probe](side, arguments.sleeps))
    print(json.dumps(figures), flush=True)
    # The sleeps of `memory` have an hour to go.
    os._exit(0)


def probe_in_a_fresh_process(probe, side, loop, count):
    command = [sys.executable, __file__, "--probe", probe, "--side", side, "--loop", loop, "--sleeps", str(count)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


# ---- The figures.


@dataclass
class Row:
    """One line of the table. `at_least` is the target for peer / ours, `at_most` for ours, `of_floor` for ours / floor."""

    title: str
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    of_floor: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, side, value):
        self.samples.setdefault(side, []).append(value)

    def median(self, side):
        return median(self.samples[side])

    @property
    def ratio(self):
        return self.median("peer") / self.median("ours")

    @property
    def floors(self):
        return self.median("ours") / self.median("floor")

    @property
    def compares(self):
        return all(side in self.samples for side in SIDES)

    def targets(self):
        """Each target in words, and whether it is reached."""
        if not self.compares:
            return
        if self.at_least is not None:
            yield f"{self.at_least:g}x", self.ratio >= self.at_least
        if self.of_floor is not None:
            yield f"{self.of_floor:g} floors", self.floors <= self.of_floor
        if self.at_most is not None:
            yield f"≤ {self.at_most:g}", self.median("ours") <= self.at_most


def short(value):
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def cell(row, side):
    if side not in row.samples:
        return ""
    values = row.samples[side]
    spread = f" ({short(min(values))}–{short(max(values))})" if min(values) != max(values) else ""
    return f"{short(row.median(side))}{spread}"


def markdown(rows):
    lines = [
        "| workload | unit | peer | ours | peer / ours | floor | ours / floor | target |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        targets = ", ".join(f"{target} {'reached' if reached else 'missed'}" for target, reached in row.targets())
        cells = [
            row.title,
            row.unit,
            cell(row, "peer"),
            cell(row, "ours"),
            f"{row.ratio:.1f}x" if row.compares else "",
            cell(row, "floor"),
            f"{row.floors:.2f}" if "floor" in row.samples and "ours" in row.samples else "",
            targets,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def uvloop_loop():
    import uvloop

    return uvloop.new_event_loop()


LOOPS = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop_loop}


@dataclass(frozen=True)
class Scale:
    """How much of each workload one run does."""

    rounds: int
    fresh_rounds: int
    awaits: int
    at_once: int
    sleeps: int
    seconds: float


FULL = Scale(rounds=15, fresh_rounds=3, awaits=2_000, at_once=10_000, sleeps=100_000, seconds=3.0)
QUICK = Scale(rounds=3, fresh_rounds=1, awaits=500, at_once=2_000, sleeps=10_000, seconds=1.0)


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measure(loop_name, scale, sides):
    """Every row, on one kind of loop."""
    rows = []
    loop = LOOPS[loop_name]()
    modules = {side: getattr(bridges, side) for side in sides}

    def in_turn(row, workload, count, floor=None):
        """One round is the peer, then us, then the floor; the first round warms up and does not count."""
        runs = {side: partial(workload, module) for side, module in modules.items()}
        if floor is not None:
            runs["floor"] = partial(floor, None)
        for number in range(scale.rounds + 1):
            say(f"{loop_name}: {row.title}, round {number} of {scale.rounds}")
            for side, run in runs.items():
                value = loop.run_until_complete(run(count))
                if number > 0:
                    row.add(side, value)
        rows.append(row)

    awaits, at_once = scale.awaits, scale.at_once
    in_turn(Row("one `await rust()` at a time", "µs", at_least=4, of_floor=1.7), one_at_a_time, awaits, hops)
    in_turn(Row("1000 futures at once (`gather`), each", "µs", at_least=25), futures_at_once, at_once)
    in_turn(Row("1000 tasks at once, each awaits one", "µs"), tasks_at_once, at_once)
    eager_future = partial(one_at_a_time, name="eager_future")
    in_turn(Row("a ready future, eager start", "µs", at_least=80), eager_future, awaits)
    eager_coroutine = partial(one_at_a_time, name="eager_coroutine")
    row = Row("a ready coroutine, eager start", "µs", at_least=80, of_floor=2.5)
    in_turn(row, eager_coroutine, awaits, bare_coroutines)
    ways = {"gather": through_gather}
    if hasattr(asyncio, "TaskGroup"):
        ways["TaskGroup"] = through_group
    for name, through in ways.items():
        floor = partial(coroutines_at_once, through=through)
        row = Row(f"1000 coroutines at once (`{name}`), each", "µs", at_least=8, of_floor=1)
        in_turn(row, partial(coroutines_at_once, through=through), at_once, floor)
        row = Row(f"1000 coroutines at once (`{name}`), eager start, each", "µs", at_least=8, of_floor=1)
        eager = partial(coroutines_at_once, through=through, name="eager_coroutine")
        in_turn(row, eager, at_once, floor)
    one_coroutine = partial(rust_awaits_in_turn, function=returns)
    in_turn(Row("Rust awaits a coroutine, one at a time", "µs", at_least=3), one_coroutine, awaits)
    one_yield = partial(rust_awaits_in_turn, function=yields_once)
    in_turn(Row("Rust awaits a coroutine that yields once", "µs"), one_yield, awaits)
    in_turn(Row("Rust awaits 20,000 coroutines at once, each", "µs", at_least=3), rust_awaits_at_once, 20_000)

    p99 = Row("Python busy: delay of a 1 ms timer, 99th percentile", "ms")
    worst = Row("Python busy: delay of a 1 ms timer, worst", "ms")
    for number in range(scale.fresh_rounds):
        say(f"{loop_name}: {worst.title}, round {number + 1} of {scale.fresh_rounds}")
        for side, module in {**modules, "floor": None}.items():
            delays = loop.run_until_complete(timer_delays(module, scale.seconds))
            p99.add(side, delays["p99"])
            worst.add(side, delays["worst"])

    late = Row(f"{scale.sleeps:,} sleeps of 1 s: late, since the first call", "s", at_least=30)
    overdue = Row(f"{scale.sleeps:,} sleeps of 1 s: late, since the last call", "s")
    threads = Row(f"{scale.sleeps:,} sleeps of 1 s: threads", "")
    held = Row(f"{scale.sleeps:,} sleeps: memory for each", "bytes", at_most=700)
    tasks = Row(f"{scale.sleeps:,} coroutines that sleep: memory for each beside its task", "bytes", at_most=700)
    for number in range(scale.fresh_rounds):
        say(f"{loop_name}: {late.title}, round {number + 1} of {scale.fresh_rounds}")
        for side in sides:
            figures = probe_in_a_fresh_process("lateness", side, loop_name, scale.sleeps)
            late.add(side, figures["first"])
            overdue.add(side, figures["last"])
            threads.add(side, figures["threads"])
            threads.at_most = figures["threads before"] + 1
            held.add(side, probe_in_a_fresh_process("memory", side, loop_name, scale.sleeps)["bytes"])
        bare_task = probe_in_a_fresh_process("task_memory", "floor", loop_name, scale.sleeps)["bytes"]
        for side in sides:
            task = probe_in_a_fresh_process("task_memory", side, loop_name, scale.sleeps)["bytes"]
            tasks.add(side, task - bare_task)

    bare = Row("one hop without Python", "µs")
    for _ in range(scale.rounds):
        bare.add("floor", loop.run_until_complete(bare_hops(None, awaits)))
    loop.close()
    say("")
    return [*rows, late, overdue, threads, held, tasks, p99, worst, bare]


def draw(rows, heading, path):
    """A bar for each side of each row, one panel for each kind of unit, all on logarithmic axes."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text: the file is small and the picture can be searched.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "versus", "font.size": 10})
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullLocator

    rows = [row for row in rows if row.compares]
    panels = [
        ("microseconds", [(row, 1.0) for row in rows if row.unit == "µs"]),
        ("milliseconds", [(row, 1e3 if row.unit == "s" else 1.0) for row in rows if row.unit in ("s", "ms")]),
        ("threads, bytes", [(row, 1.0) for row in rows if row.unit in ("", "bytes")]),
    ]
    colours = {"peer": "#b8b8b8", "ours": "#d9622b"}
    names = {"peer": "pyo3-async-runtimes 0.30", "ours": "pyo3-asyncio"}
    figure, axes = pyplot.subplots(
        len(panels), figsize=(9, 8), height_ratios=[len(bars) + 0.4 for _, bars in panels], layout="constrained"
    )
    for axis, (unit, bars) in zip(axes, panels):
        for place, (row, scale) in enumerate(bars):
            for side, offset in (("peer", -0.19), ("ours", 0.19)):
                value = row.median(side) * scale
                axis.barh(place + offset, value, 0.36, color=colours[side], label=names[side] if place == 0 else None)
                text = short(value) if side == "peer" else f"{short(value)}   {row.ratio:.1f}x"
                axis.annotate(
                    text,
                    (value, place + offset),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    weight="bold" if side == "ours" else "normal",
                )
            if "floor" in row.samples:
                value = row.median("floor") * scale
                axis.plot([value, value], [place - 0.4, place + 0.4], color="black", linewidth=1.2, label="floor")
        values = [row.median(side) * scale for row, scale in bars for side in row.samples]
        axis.set_xscale("log")
        axis.set_xlim(10 ** floor(log10(min(values) / 1.5)), max(values) * 8)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_yticks(range(len(bars)), [row.title.replace("`", "") for row, _ in bars])
        axis.invert_yaxis()
        axis.set_xlabel(f"{unit} (less is better)")
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(heading)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=[*LOOPS, "both"], default="both", help="the event loop (default: both)")
    parser.add_argument("--rounds", type=int, help=f"rounds of each workload (default: {FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it runs, not to quote")
    parser.add_argument("--json", metavar="FILE", help="write every sample")
    parser.add_argument("--svg", metavar="FILE", help="draw the medians of the first loop")
    parser.add_argument("--only", choices=SIDES, help="one side, for a profiler")
    parser.add_argument("--probe", choices=PROBES, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=[*SIDES, "floor"], help=argparse.SUPPRESS)
    parser.add_argument("--sleeps", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only and arguments.svg:
        parser.error("--svg draws both sides: it cannot go with --only")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.probe:
        probe_in_this_process(arguments)
    scale = QUICK if arguments.quick else FULL
    if arguments.rounds:
        scale = replace(scale, rounds=arguments.rounds, fresh_rounds=min(arguments.rounds, scale.fresh_rounds))
    sides = (arguments.only,) if arguments.only else SIDES
    loops = list(LOOPS) if arguments.loop == "both" else [arguments.loop]

    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load average {load:.1f}): the figures will not be those of an idle one", file=sys.stderr)
    results = {}
    for loop_name in loops:
        results[loop_name] = measure(loop_name, scale, sides)
        rounds = f"{scale.rounds} rounds, of {scale.fresh_rounds} for timers, sleeps and memory"
        print(f"\n{loop_name}, {machine}, median of {rounds} (least–most), load average {load:.1f}\n")
        print(markdown(results[loop_name]), flush=True)

    if arguments.json:
        document = {"machine": machine, "load": load, "scale": asdict(scale)}
        document["loops"] = {name: [asdict(row) for row in rows] for name, rows in results.items()}
        with open(arguments.json, "w", encoding="utf-8") as output:
            json.dump(document, output, indent=1)
    if arguments.svg:
        draw(results[loops[0]], f"{loops[0]}, {machine}", arguments.svg)
    # The peer's threads may still be attached: they abort the process in some runs while the interpreter finalizes.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

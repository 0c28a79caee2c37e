"""The cases: what a program does again and again, on the Rust module of either side.

A case prepares itself, and gives a function that does the work `count` times.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any, Awaitable, Callable


@dataclass(frozen=True)
class Ports:
    """Where the servers listen that the cases talk to."""

    echo: int = 0
    redis: int = 0


Run = Callable[[int], Awaitable[Any]]


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    prepare: Callable[[Any, Ports], Awaitable[Run]]
    # The work is done in groups of so many.
    group: int = 1
    # A count that is part of the case; else it is chosen so that a measurement takes its time.
    count: int | None = None
    # What the Rust module must have. A side that lacks it has no figures here.
    needs: str | None = None
    # The server that must run: a field of `Ports`.
    server: str | None = None


async def repeat(make, count):
    for _ in range(count):
        await make()


async def many_tasks(makes, count):
    """A Python task for each of `makes`, which calls it and awaits the result again and again."""
    await asyncio.gather(*[repeat(make, count // len(makes)) for make in makes])


async def thousand_at_once(make, count):
    for _ in range(count // 1000):
        await asyncio.gather(*[make() for _ in range(1000)])


# ---- Python awaits Rust.


def one_at_a_time(name, *arguments):
    async def prepare(rust, _):
        return partial(repeat, partial(getattr(rust, name), *arguments))

    return prepare


def echo(connections):
    async def prepare(rust, ports):
        clients = [await rust.Echo.connect(ports.echo) for _ in range(connections)]
        return partial(many_tasks, [client.exchange for client in clients])

    return prepare


def redis(tasks):
    async def prepare(rust, ports):
        connection = await rust.Redis.connect(ports.redis)
        return partial(many_tasks, [connection.get] * tasks)

    return prepare


async def channel(rust, _):
    queue = rust.Queue(16)

    async def produce(count):
        for item in range(count):
            await queue.send(item)

    async def run(count):
        await asyncio.gather(produce(count), repeat(queue.recv, count))

    return run


async def futures_at_once(rust, _):
    return partial(thousand_at_once, rust.yields_once)


async def coroutines_at_once(rust, _):
    """The attribute's coroutines where the bridge has it, else an `async def` around the future."""

    async def around():
        return await rust.yields_once()

    return partial(thousand_at_once, getattr(rust, "coroutine", around))


PYTHON_AWAITS_RUST = [
    Case("a future that is ready at its first poll", one_at_a_time("ready")),
    Case("a future that yields once", one_at_a_time("yields_once")),
    Case("a future that awaits a spawned task", one_at_a_time("awaits_a_task")),
    Case("a future that computes 20 µs", one_at_a_time("computes", 20)),
    Case("a future that computes 200 µs", one_at_a_time("computes", 200)),
    Case("TCP echo, one at a time", echo(1), server="echo"),
    Case("TCP echo, 16 connections at once", echo(16), group=16, server="echo"),
    Case("Redis GET, one at a time", redis(1), server="redis"),
    Case("Redis GET, 64 tasks at once", redis(64), group=64, server="redis"),
    Case("a channel between two tasks, each item", channel),
    Case("1000 futures at once, each", futures_at_once, group=1000),
    Case("1000 coroutines at once, each", coroutines_at_once, group=1000),
]


# ---- Rust awaits Python.


async def returns():
    return 1


async def yields():
    await asyncio.sleep(0)


async def awaits_1_ms():
    await asyncio.sleep(0.001)


def rust_awaits(name, function):
    async def prepare(rust, _):
        return partial(getattr(rust, name), function)

    return prepare


def serving(tasks, title, handler):
    async def prepare(rust, _):
        return partial(rust.serve, handler, tasks)

    callers = "1 Rust task calls" if tasks == 1 else f"{tasks} Rust tasks call"
    return Case(f"{callers} a handler that {title}", prepare, group=tasks)


RUST_AWAITS_PYTHON = [
    Case("Rust awaits Python that returns at once", rust_awaits("await_in_turn", returns)),
    Case("Rust awaits Python that yields once", rust_awaits("await_in_turn", yields)),
    Case("Rust awaits Python, 20,000 at once, each", rust_awaits("await_at_once", returns), group=20_000),
    *[serving(tasks, "returns at once", returns) for tasks in (1, 16, 64)],
    *[serving(tasks, "yields once", yields) for tasks in (1, 16, 64)],
    *[serving(tasks, "awaits 1 ms", awaits_1_ms) for tasks in (1, 16, 64)],
]


# ---- Floors: no bridge takes part. Both sides run the same code, so where they differ is noise.


async def hops(rust, _):
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    chain = rust.Hops(done.set)
    loop.add_reader(chain.fileno(), chain)

    async def run(count):
        done.clear()
        chain.start(count)
        await done.wait()

    return run


async def pythons_own(*_):
    return partial(thousand_at_once, yields)


def streams_echo(connections):
    async def prepare(_, ports):
        async def connect():
            reader, writer = await asyncio.open_connection("127.0.0.1", ports.echo)

            async def exchange():
                writer.write(bytes(64))
                return await reader.readexactly(64)

            return exchange

        return partial(many_tasks, [await connect() for _ in range(connections)])

    return prepare


FLOORS = [
    Case("floor: TCP echo by asyncio's streams, one at a time", streams_echo(1), server="echo"),
    Case("floor: TCP echo by asyncio's streams, 16 connections at once", streams_echo(16), group=16, server="echo"),
    Case("floor: one hop without a bridge", hops),
    Case("floor: 1000 coroutines of Python's own at once, each", pythons_own, group=1000),
]

LIGHT = PYTHON_AWAITS_RUST + RUST_AWAITS_PYTHON + FLOORS


# ---- Streams.

ITEMS = 100_000


async def ready(count):
    for number in range(count):
        yield number


async def bursts(count):
    """Ten items, then a turn of the loop."""
    for number in range(count):
        if number % 10 == 0:
            await asyncio.sleep(0)
        yield number


async def one_a_turn(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def from_python(function, title, generator):
    async def prepare(rust, _):
        async def run(count):
            arrived = await getattr(rust, function)(generator(count))
            assert arrived == count, f"{arrived} of {count} items arrived"

        return run

    return Case(f"stream from Python to Rust, {title} (`{function}`), each item", prepare, count=ITEMS, needs=function)


def to_python(make):
    async def prepare(rust, _):
        async def run(count):
            arrived = 0
            async for _ in make(rust, count):
                arrived += 1
            assert arrived == count, f"{arrived} of {count} items arrived"

        return run

    return prepare


def generated(generator, by_hand):
    """The async generator where the bridge makes one, else the class by hand with a future for each item."""
    return lambda rust, count: getattr(rust, generator, getattr(rust, by_hand))(count)


STREAMS = [
    Case("stream from Rust to Python, ready at once, each item", to_python(generated("generate", "numbers")), count=ITEMS),
    Case("stream from Rust to Python, ten a turn, each item", to_python(generated("generate_bursts", "number_bursts")), count=ITEMS),
    Case("stream from Rust to Python, a future for each item", to_python(lambda rust, count: rust.numbers(count)), count=ITEMS),
    from_python("into_stream_v1", "ready at once", ready),
    from_python("into_stream_v2", "ready at once", ready),
    from_python("into_stream_v2", "ten a turn", bursts),
    from_python("into_stream_v2", "one a turn", one_a_turn),
    from_python("extract_items", "ready at once", ready),
    from_python("await_each_item", "ready at once", ready),
    Case("floor: Python's own `async for`, ready at once, each item", to_python(lambda _, count: ready(count)), count=ITEMS),
    Case("floor: Python's own `async for`, one a turn, each item", to_python(lambda _, count: one_a_turn(count)), count=ITEMS),
]


# ---- What it costs that Python sees a coroutine function. The coroutines are closed at once.


def built_in(exported):
    """The built-in function, or method descriptor, behind an exported function."""
    [found] = (it for it in gc.get_referents(exported) if isinstance(it, (BuiltinFunctionType, MethodDescriptorType)))
    return found


def function_calls(find):
    async def prepare(rust, _):
        function = find(rust.coroutine)

        async def run(count):
            for _ in range(count):
                function().close()

        return run

    return prepare


def method_calls(find):
    async def prepare(rust, _):
        class Object(rust.Exporting):
            method = find(vars(rust.Exporting)["method"])

        exporting = Object()

        async def run(count):
            for _ in range(count):
                exporting.method().close()

        return run

    return prepare


def as_exported(function):
    return function


CALLS = [
    Case("a call of an exported function", function_calls(as_exported), needs="coroutine"),
    Case("a call of an exported function, as a built-in one", function_calls(built_in), needs="coroutine"),
    Case("a call of an exported method", method_calls(as_exported), needs="Exporting"),
    Case("a call of an exported method, as a built-in one", method_calls(built_in), needs="Exporting"),
]

ALL = LIGHT + STREAMS + CALLS

"""Operations with streams, in both directions."""

import asyncio

from desk import Provoked
from operations import operation
from rust_to_python import cancel_somehow


async def taken(generator, at_most):
    """The first items of an async generator, which is then closed."""
    items = []
    try:
        if at_most:
            async for item in generator:
                items.append(item)
                if len(items) == at_most:
                    break
        return items
    except GeneratorExit:
        # The loop is gone, and with it all that `aclose` could wait for.
        generator = None
        raise
    finally:
        if generator is not None:
            await generator.aclose()


@operation(8)
async def rust_stream(desk, choose):
    """Python iterates over a Rust stream: to its end, or for some items."""
    count, burst, capacity = choose.randrange(200), choose.randrange(1, 50), choose.randrange(1, 40)
    at_most = choose.choice([0, 1, choose.randrange(200), 200])
    generator = desk.rust.Numbers(count, burst).generator(capacity, choose.random() < 0.3)
    outcomes = {"value"}
    task = desk.loop.create_task(taken(generator, at_most))
    if choose.random() < 0.3:
        outcomes.add("cancelled")
        cancel_somehow(desk, choose, task.cancel)
    await desk.wait("Rust stream", task, outcomes, (list(range(min(count, at_most))),))


@operation(3)
async def rust_stream_left(desk, choose):
    """Python leaves an async generator to the garbage collector, and to the hooks of the loop."""
    generator = desk.rust.Numbers(1000, choose.randrange(1, 50)).generator(choose.randrange(1, 40))
    async for number in generator:
        if number == choose.randrange(100):
            break


async def numbers(count, turn, end):
    try:
        for number in range(count):
            if number % turn == 0:
                await asyncio.sleep(0)
            yield number
        if end == "error":
            raise Provoked
    finally:
        if end == "turn":
            await asyncio.sleep(0)


@operation(10)
async def python_stream(desk, choose):
    """Rust iterates over an async generator: to its end, or for some items. Then it closes the stream, or drops it."""
    count, capacity = choose.randrange(200), choose.randrange(1, 40)
    at_most = choose.choice([0, 1, choose.randrange(200), 1000])
    end = choose.choice(["value", "value", "turn", "error"])
    generator = numbers(count, choose.randrange(1, 50), end)
    future = desk.rust.take_items(generator, at_most, choose.random() < 0.5, capacity)
    outcomes = {"error" if end == "error" and at_most > count else "value"}
    if end == "error" and at_most <= count:
        # The iteration may be ahead of the stream, and closing the stream gives its error.
        outcomes.add("error")
    if choose.random() < 0.3:
        outcomes.add("cancelled")
        cancel_somehow(desk, choose, future.cancel)
    await desk.wait("stream of Python", future, outcomes, (list(range(min(count, at_most))),))

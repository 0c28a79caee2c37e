from asyncio import _get_running_loop, get_running_loop
from types import coroutine


async def iterate(sink, iterator, room):
    items = []
    await deliver_each_step(iteration(sink, iterator, room, items), sink, items)


@coroutine
def deliver_each_step(iteration, sink, items):
    """Awaits `iteration`, as `yield from` does, and delivers the items of each step."""
    send, throw = iteration.send, iteration.throw
    step, value = send, None
    while True:
        try:
            awaited = step(value)
        except StopIteration:
            return
        try:
            if items:
                sink.deliver(items)
            step, value = send, (yield awaited)
        except GeneratorExit:
            iteration.close()
            raise
        except BaseException as error:
            step, value = throw, error


async def iteration(sink, iterator, room, items):
    loop = get_running_loop()
    close = getattr(iterator, 'aclose', None)
    is_destroyed = False
    try:
        async for item in sink:
            if not items:
                if not sink.is_wanted():
                    break
            items.append(item)
            room -= 1
            if not room:
                more_room = loop.create_future()
                sink.ask(more_room)
                room = await more_room
    except BaseException as error:
        outlives_loop = _get_running_loop() is not loop
        # Nothing can be awaited any more.
        is_destroyed = outlives_loop or isinstance(error, GeneratorExit)
        if outlives_loop:
            # Rust knows that the loop is closed. Since Python 3.13, a generator whose clean-up awaits raises a RuntimeError here.
            return
        raise
    finally:
        if not is_destroyed:
            sink.clean_up(items)
            if close is not None:
                await close()

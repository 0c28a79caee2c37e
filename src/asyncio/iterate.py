from asyncio import get_running_loop

async def iterate(sink, iterator, room, items):
    loop = get_running_loop()
    close = getattr(iterator, 'aclose', None)
    try:
        async for item in sink:
            if not items:
                if not sink.is_wanted():
                    break
                loop.call_soon(sink.deliver)
            items.append(item)
            room -= 1
            if not room:
                more_room = loop.create_future()
                sink.ask(more_room)
                room = await more_room
    except GeneratorExit:
        # The task is destroyed. Nothing can be awaited any more.
        close = None
        raise
    finally:
        if close is not None:
            sink.deliver()
            await close()

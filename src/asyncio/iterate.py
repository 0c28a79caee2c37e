from asyncio import get_running_loop

async def iterate(sink, iterator, room, items):
    loop = get_running_loop()
    close = getattr(iterator, 'aclose', None)
    is_destroyed = False
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
        # Nothing can be awaited any more.
        is_destroyed = True
        raise
    finally:
        if not is_destroyed:
            sink.clean_up()
            if close is not None:
                await close()

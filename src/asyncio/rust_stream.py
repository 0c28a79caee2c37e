async def rust_stream(stream):
    try:
        while (fetch := stream.fetch()) is not None:
            for item in await fetch:
                if (yield item) is not None:
                    raise TypeError("a Rust stream takes no values: call `__anext__()`, or `asend(None)`")
            # The stream may wait until its items are dropped.
            item = None
    finally:
        stream.close()


def blocking_stream(iterator):
    try:
        yield from iterator
    finally:
        # The traceback of an error may keep the iterator alive.
        iterator.close()

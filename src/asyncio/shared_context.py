import types


async def await_it(awaitable):
    return await awaitable


async def run_in(context, coroutine):
    return await steps(context.run, coroutine)


@types.coroutine
def steps(run, coroutine):
    step, argument = coroutine.send, None
    while True:
        try:
            awaited = run(step, argument)
        except StopIteration as end:
            return end.value
        finally:
            # The traceback of an error has this frame.
            argument = None
        try:
            step, argument = coroutine.send, (yield awaited)
        except GeneratorExit:
            run(coroutine.close)
            raise
        except BaseException as error:
            step, argument = coroutine.throw, error

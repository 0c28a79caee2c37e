"""asyncio accepts a Rust coroutine wherever it accepts an `async def`."""

import asyncio
import contextvars
import inspect
import sys
import types

import anyio
import pytest

WAYS = {}


def way(function=None, *, since=(3, 9)):
    """Registers a way to run a coroutine in a loop, on the Python versions that have it."""
    if function is None:
        return lambda function: way(function, since=since)
    if sys.version_info >= since:
        WAYS[function.__name__] = function
    return function


@way
async def awaited(coroutine):
    return await coroutine


@way
async def nested(coroutine):
    async def inner():
        return await coroutine

    async def outer():
        return await inner()

    return await outer()


@way
async def in_an_async_generator(coroutine):
    async def generator():
        yield await coroutine

    return [value async for value in generator()][0]


@way
async def in_a_coroutine_of_the_old_kind(coroutine):
    @types.coroutine
    def old():
        return (yield from coroutine.__await__())

    return await old()


@way
async def in_an_object_that_passes_its_iterator_on(coroutine):
    class Awaitable:
        def __await__(self):
            return coroutine.__await__()

    return await Awaitable()


@way
async def create_task(coroutine):
    return await asyncio.create_task(coroutine)


@way
async def create_task_with_a_name(coroutine):
    task = asyncio.get_running_loop().create_task(coroutine, name="by name")
    assert task.get_name() == "by name" and task.get_coro() is coroutine
    return await task


@way(since=(3, 11))
async def create_task_with_a_context(coroutine):
    return await asyncio.get_running_loop().create_task(coroutine, context=contextvars.copy_context())


@way
async def ensure_future(coroutine):
    return await asyncio.ensure_future(coroutine)


@way
async def gather(coroutine):
    return (await asyncio.gather(asyncio.sleep(0), coroutine))[1]


@way
async def wait_for(coroutine):
    return await asyncio.wait_for(coroutine, 60)


@way
async def wait_for_without_a_limit(coroutine):
    return await asyncio.wait_for(coroutine, None)


@way
async def shield(coroutine):
    return await asyncio.shield(coroutine)


@way
async def as_completed(coroutine):
    for next_one in asyncio.as_completed([coroutine]):
        return await next_one


@way
async def wait(coroutine):
    done, _ = await asyncio.wait([asyncio.ensure_future(coroutine)])
    return done.pop().result()


@way
async def run_coroutine_threadsafe(coroutine):
    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(coroutine, loop).result())


@way(since=(3, 11))
async def task_group(coroutine):
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(coroutine)
    except ExceptionGroup as errors:
        (error,) = errors.exceptions
        raise error from None
    return task.result()


@way(since=(3, 11))
async def timeout(coroutine):
    async with asyncio.timeout(60):
        return await coroutine


@way(since=(3, 12))
async def eager_task(coroutine):
    loop = asyncio.get_running_loop()
    task = asyncio.eager_task_factory(loop, coroutine)
    # It starts before the next turn of the loop.
    assert inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED
    return await task


@way(since=(3, 12))
async def task_with_an_eager_start(coroutine):
    task = asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)
    assert inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED
    return await task


@way(since=(3, 14))
async def create_task_with_an_eager_start(coroutine):
    task = asyncio.create_task(coroutine, eager_start=True)
    assert inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED
    return await task


@way
async def anyio_move_on_after(coroutine):
    with anyio.move_on_after(60):
        return await coroutine


@way
async def anyio_fail_after(coroutine):
    with anyio.fail_after(60):
        return await coroutine


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_each_way_to_run_a_coroutine_returns_its_value(loop, run, rust, way, when):
    gate = rust.Gate()

    async def main():
        coroutine = gate.coroutine()
        if when == "before":
            gate.open("value")
        else:
            loop.call_soon(gate.open, "value")
        return await WAYS[way](coroutine)

    assert run(main()) == "value"
    gate.wait_until_dropped()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_runs_a_coroutine_that_has_its_value(run, rust, way):
    async def main():
        return await WAYS[way](rust.ready("value"))

    assert run(main()) == "value"


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_run_a_coroutine_raises_its_error(loop, run, rust, way):
    gate = rust.Gate()

    async def main():
        loop.call_soon(gate.fail, LookupError("from Rust"))
        await WAYS[way](gate.coroutine())

    with pytest.raises(LookupError, match="from Rust"):
        run(main())


# Here asyncio itself does not cancel the coroutine.
SHIELD_FROM_CANCELLATION = {"as_completed", "run_coroutine_threadsafe", "shield", "wait"}


@pytest.mark.parametrize("way", [way for way in WAYS if way not in SHIELD_FROM_CANCELLATION])
def test_cancelling_each_way_to_run_a_coroutine_drops_the_rust_future(run, rust, way):
    gate = rust.Gate()

    async def main():
        coroutine = gate.coroutine()
        task = asyncio.ensure_future(WAYS[way](coroutine))
        while inspect.getcoroutinestate(coroutine) != inspect.CORO_SUSPENDED:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        return task.cancelled()

    assert run(main())
    gate.wait_until_dropped()


def test_cancelling_from_another_thread_drops_the_rust_future(loop, run, rust):
    gate = rust.Gate()

    async def main():
        coroutine = gate.coroutine()
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        while inspect.getcoroutinestate(coroutine) != inspect.CORO_SUSPENDED:
            await asyncio.sleep(0)
        assert await asyncio.to_thread(future.cancel)
        while inspect.getcoroutinestate(coroutine) != inspect.CORO_CLOSED:
            await asyncio.sleep(0)

    run(main())
    gate.wait_until_dropped()


def test_asyncio_run_runs_a_coroutine_made_without_a_loop(rust):
    """https://github.com/awestlake87/pyo3-asyncio/issues/50"""
    assert asyncio.run(rust.turns(3, "value")) == "value"
    asyncio.run(rust.nap(0))
    assert asyncio.run(rust.lazy_turns(0, "value")) == "value"


def test_run_until_complete_runs_a_coroutine(loop, rust):
    assert loop.run_until_complete(rust.lazy_turns(3, "value")) == "value"
    assert loop.run_until_complete(rust.turns(3, "value")) == "value"


if sys.version_info >= (3, 11):

    def test_a_runner_runs_a_coroutine(new_loop, rust):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(rust.turns(3, "first")) == "first"
            assert runner.run(rust.lazy_turns(3, "second")) == "second"

    def test_a_task_group_runs_and_cancels_a_coroutine(run, rust):
        async def main():
            gate = rust.Gate()
            with pytest.raises(Exception) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(gate.coroutine())
                    group.create_task(rust.lazy_call(lambda: 1 / 0))
            assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
            gate.wait_until_dropped()

        run(main())


if sys.version_info >= (3, 12):

    def test_an_eager_task_factory_runs_a_coroutine(loop, run, rust):
        def eager(loop, coroutine, context=None, **_):
            # uvloop passes options of later Pythons.
            return asyncio.eager_task_factory(loop, coroutine, context=context)

        async def main():
            loop.set_task_factory(eager)
            gate = rust.Gate()
            coroutine = gate.coroutine()
            task = asyncio.create_task(coroutine)
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
            gate.open("value")
            assert await task == "value"
            assert await asyncio.gather(*(rust.lazy_turns(n % 3, n) for n in range(100))) == list(range(100))

        run(main())


if sys.version_info >= (3, 14):

    def test_a_task_starts_a_coroutine_eagerly(loop, run, rust):
        async def main():
            gate = rust.Gate()
            coroutine = gate.coroutine()
            task = asyncio.create_task(coroutine, eager_start=True)
            assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
            gate.open("value")
            assert await task == "value"

        run(main())


def test_a_coroutine_made_in_a_thread_without_a_loop_can_be_awaited_on_another(run, rust):
    async def main():
        made = await asyncio.to_thread(rust.turns, 3, "value")
        assert asyncio.iscoroutine(made)
        return await made

    assert run(main()) == "value"


def test_run_until_complete_runs_a_coroutine_from_a_plain_function(loop, rust):
    def main():
        return rust.turns(3, "value")

    assert loop.run_until_complete(main()) == "value"

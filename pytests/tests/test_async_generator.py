"""A Rust stream as an async generator of Python's."""

import asyncio
import collections.abc
import contextlib
import contextvars
import gc
import inspect
import sys
import threading
import types
import weakref

import pytest

CONTEXT = contextvars.ContextVar("CONTEXT", default="default")


class Item:
    """An object that can be referenced weakly."""


def step(awaitable):
    """The value that an awaitable gives in its first step. It fails the test if it waits."""
    with pytest.raises(StopIteration) as caught:
        awaitable.send(None)
    return caught.value.value


def begun(generator):
    """A task that waits for the next item."""
    return asyncio.ensure_future(next_of(generator))


async def next_of(generator):
    return await generator.__anext__()


async def rest(generator):
    return [item async for item in generator]


async def waits(generator):
    """How many of the items are waited for."""
    futures = []

    @types.coroutine
    def noting(awaitable):
        try:
            futures.append(awaitable.send(None))
        except StopIteration as end:
            return end.value
        yield futures[-1]
        return step(awaitable)

    with contextlib.suppress(StopAsyncIteration):
        while True:
            await noting(generator.__anext__())
    return len(futures)


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


@types.coroutine
def calling_before_the_wake_up(awaitable, callback):
    """Awaits, and has the callback called when the awaited future is done, before it wakes the task."""
    future = awaitable.send(None)
    future.add_done_callback(callback)
    try:
        yield future
    except BaseException as error:
        return awaitable.throw(error)
    return step(awaitable)


async def until(is_true):
    """Lets the loop turn until the runtime makes a condition true."""
    while not is_true():
        await asyncio.sleep(0)


# Items


def test_the_items_come_in_order(run, rust):
    async def main():
        numbers = rust.Numbers(1000)
        assert [number async for number in numbers.generator()] == list(range(1000))
        assert {number async for number in rust.Numbers(10, burst=3).generator()} == set(range(10))
        assert [number async for number in rust.Numbers(0).generator()] == []
        return [(one, two) async for one in rust.Numbers(3).generator() async for two in rust.Numbers(2).generator()]

    assert run(main()) == [(one, two) for one in range(3) for two in range(2)]


def test_an_item_that_comes_late_wakes_the_task(run, rust):
    async def main():
        feed = rust.Feed()
        generator = feed.generator()
        for value in ("one", None, ("a", "tuple"), StopIteration("not raised")):
            waiting = begun(generator)
            await turns()
            assert not waiting.done()
            feed.send(value)
            assert await waiting is value
        feed.end()
        assert await rest(generator) == []
        feed.wait_until_dropped()

    run(main())


def test_anext_aiter_and_aclosing_take_it(run, rust):
    if sys.version_info < (3, 10):
        return

    async def main():
        feed = rust.Feed()
        feed.send(1, 2)
        async with contextlib.aclosing(feed.generator()) as generator:
            assert aiter(generator) is generator
            assert await anext(generator) == 1
            assert await anext(generator, "default") == 2
            feed.send(3)
            feed.end()
            assert await anext(generator, "default") == 3
            assert await anext(generator, "default") == "default"
            with pytest.raises(StopAsyncIteration):
                await anext(generator)
        feed = rust.Feed()
        async with contextlib.aclosing(feed.generator()):
            pass
        assert feed.is_dropped

    run(main())


def test_the_stream_is_polled_only_while_an_item_is_awaited(run, rust):
    async def main():
        numbers = rust.Numbers(5)
        generator = numbers.generator(capacity=1)
        next_item = generator.__anext__()
        await turns()
        assert numbers.taken == 0
        assert await next_item == 0
        for number in range(1, 5):
            await turns()
            assert numbers.taken == number
            assert await generator.__anext__() == number

    run(main())


def test_most_items_that_are_ready_at_once_are_there_without_waiting(run, rust, collected):
    # A batch is cut short if the system gives the processor to another thread meanwhile.
    count = 100 if collected else 1000
    assert run(waits(rust.Numbers(count).generator())) < count / 2
    assert run(waits(rust.Numbers(count, burst=1).generator())) >= count
    assert run(waits(rust.Numbers(count, burst=2).generator())) >= count / 2


@pytest.mark.parametrize("eager_start", [False, True])
@pytest.mark.parametrize("capacity", [1, 2, 7, None])
def test_no_more_items_are_taken_than_the_capacity(run, rust, capacity, eager_start, collected):
    async def main():
        count, got = 50 if collected else 10_000, 0
        numbers = rust.Numbers(count)
        async for number in numbers.generator(capacity, eager_start):
            assert number == got
            got += 1
            assert got <= numbers.taken < got + (capacity or 128)
        assert got == count

    run(main())


@pytest.mark.two_threads
def test_an_item_that_took_long_does_not_wait_for_the_next(run, rust):
    async def main():
        generator = rust.blocking_stream()
        assert await generator.__anext__() is True
        second = begun(generator)
        while not second.done():
            rust.let_go()
            await asyncio.sleep(0.001)
        assert await second is True
        assert await rest(generator) == []

    run(main())


def test_the_generator_keeps_no_item_that_has_left_it(run, rust):
    async def main():
        feed, gone = rust.Feed(), []
        for _ in range(3):
            item = Item()
            gone.append(weakref.ref(item))
            feed.send(item)
        del item
        generator = feed.generator()
        for _ in range(3):
            await generator.__anext__()
        # The next one is awaited, so the batch is over.
        waiting = begun(generator)
        await turns()
        assert [reference() for reference in gone] == [None] * 3
        feed.end()
        with pytest.raises(StopAsyncIteration):
            await waiting

    run(main())


# Errors


@pytest.mark.parametrize("when", ["ready with the items", "late"])
@pytest.mark.parametrize("fail", ["fail", "fail_conversion"])
def test_an_error_ends_the_stream_after_the_items_before_it(run, rust, fail, when):
    async def main():
        feed, error = rust.Feed(), ValueError("from Rust")
        generator = feed.generator()
        feed.send(1, 2)
        if when == "late":
            assert [await generator.__anext__(), await generator.__anext__()] == [1, 2]
            waiting = begun(generator)
            await turns()
        getattr(feed, fail)(error)
        feed.send(3)
        if when != "late":
            assert [await generator.__anext__(), await generator.__anext__()] == [1, 2]
            waiting = begun(generator)
        with pytest.raises(ValueError, match="from Rust") as caught:
            await waiting
        assert caught.value is error
        assert feed.is_dropped
        assert await rest(generator) == []

    run(main())


@pytest.mark.parametrize("then", ["end", "fail", "send"])
def test_an_item_that_does_not_convert_is_not_lost_in_what_comes_after_it(run, rust, then):
    async def main():
        feed = rust.Feed()
        feed.send(1)
        feed.fail_conversion(ValueError("from the conversion"))
        {"end": feed.end, "fail": lambda: feed.fail(KeyError()), "send": lambda: feed.send(2)}[then]()
        generator = feed.generator()
        assert await generator.__anext__() == 1
        with pytest.raises(ValueError, match="from the conversion"):
            await generator.__anext__()
        assert feed.is_dropped
        assert await rest(generator) == []

    run(main())


@pytest.mark.parametrize("panic", ["panic", "panic_in_conversion"])
def test_a_panic_ends_the_stream_after_the_items_before_it(run, rust, panic, capfd):
    async def main():
        feed = rust.Feed()
        generator = feed.generator()
        feed.send(1)
        getattr(feed, panic)("in the stream")
        assert await generator.__anext__() == 1
        with pytest.raises(rust.RustPanic, match="in the stream") as caught:
            await generator.__anext__()
        assert caught.value.file.endswith(".rs") and caught.value.line > 0
        assert feed.is_dropped
        assert await rest(generator) == []

    run(main())
    # The panic hook prints this.
    assert "in the stream" in capfd.readouterr().err


def test_a_panic_in_the_drop_of_a_stream_that_ended_is_raised(run, rust, capfd):
    with pytest.raises(rust.RustPanic, match="while it is dropped"):
        run(rest(rust.stream_that_panics_when_dropped("while it is dropped")))
    assert "while it is dropped" in capfd.readouterr().err


def test_a_panic_in_the_drop_of_a_stream_that_is_closed_harms_nobody(run, rust, capfd):
    generator = rust.stream_that_panics_when_dropped("while it is closed")
    run(generator.aclose())
    generator = rust.stream_that_panics_when_dropped("while it is closed")
    del generator
    assert capfd.readouterr().err.count("while it is closed") == 2


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_an_error_that_would_end_the_iteration_is_wrapped(run, rust, kind):
    async def main():
        feed = rust.Feed()
        feed.fail(kind())
        with pytest.raises(RuntimeError, match=f"raised {kind.__name__}") as caught:
            await rest(feed.generator())
        assert isinstance(caught.value.__cause__, kind)

    run(main())


# Ends


def test_aclose_drops_the_stream(run, rust):
    async def main():
        new, buffered, waited = feeds = [rust.Feed() for _ in range(3)]
        generators = [feed.generator() for feed in feeds]
        buffered.send(1, 2)
        assert await generators[1].__anext__() == 1
        waited.send(1)
        assert await generators[2].__anext__() == 1
        for feed, generator in zip(feeds, generators):
            await generator.aclose()
            assert feed.is_dropped
            assert await rest(generator) == []
            await generator.aclose()
        assert new.polls == 0

    run(main())


@pytest.mark.two_threads
def test_a_cancelled_next_item_drops_the_stream(run, rust):
    async def main():
        feed = rust.Feed()
        generator = feed.generator()
        feed.send(1)
        assert await generator.__anext__() == 1
        waiting = begun(generator)
        await turns()
        waiting.cancel()
        # The loop does not turn here.
        feed.wait_until_dropped()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await rest(generator) == []

    run(main())


def test_a_timeout_drops_the_stream(run, rust):
    async def main():
        feed = rust.Feed()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(rest(feed.generator()), 0.001)
        feed.wait_until_dropped()

    run(main())


def test_a_cancellation_after_the_items_came_but_before_the_wake_up_drops_the_stream(run, rust):
    async def main():
        feed = rust.Feed()
        called_first = calling_before_the_wake_up(feed.generator().__anext__(), lambda _: waiting.cancel())
        waiting = asyncio.ensure_future(called_first)
        await turns()
        feed.send(1)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert feed.is_dropped

    run(main())


def test_break_drops_the_stream(run, rust):
    async def main():
        feed = rust.Feed()
        feed.send(1, 2)
        async for item in feed.generator():
            assert item == 1
            break
        # asyncio's hook makes a task that closes the generator.
        await turns()
        assert feed.is_dropped

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_generator_that_is_never_iterated_is_dropped_in_silence(run, rust):
    async def main():
        feed = rust.Feed()
        feed.generator()
        assert feed.is_dropped and feed.polls == 0
        feed = rust.Feed()
        # Nor does the awaitable of an item complain that is never awaited. Python's own does, since 3.13.
        generator = feed.generator()
        del generator
        assert feed.is_dropped

    run(main())


def test_a_generator_in_a_cycle_is_collected(run, rust):
    async def main():
        feed, item = rust.Feed(), Item()
        feed.send(item, 2)
        item.generator = feed.generator()
        assert await item.generator.__anext__() is item
        # The step that settled the Rust future still refers to the item.
        await turns()
        gone = weakref.ref(item)
        del item
        gc.collect()
        # asyncio's hook makes a task that closes the generator.
        await turns()
        gc.collect()
        assert gone() is None and feed.is_dropped

    run(main())


def test_the_end_of_the_loop_closes_generators(rust, new_loop):
    from conftest import end

    async def main():
        feeds = [rust.Feed() for _ in range(3)]
        generators = [feed.generator() for feed in feeds]
        for feed, generator in zip(feeds, generators):
            feed.send(1, 2)
            assert await generator.__anext__() == 1
        waiting = begun(generators[0])
        assert await waiting == 2
        waiting = begun(generators[0])
        await turns()
        return feeds, generators, waiting

    loop = new_loop()
    feeds, generators, waiting = loop.run_until_complete(main())
    end(loop)
    assert waiting.cancelled()
    for feed in feeds:
        feed.wait_until_dropped()


def test_a_loop_that_closes_drops_the_streams_that_wait_for_nothing(rust, new_loop, loop):
    async def main():
        while True:
            feed = rust.Feed()
            generator = feed.generator()
            feed.send(1, 2)
            assert await generator.__anext__() == 1
            if feed.polls > 1:
                return feed, generator
            # The first batch was cut short, because the system gave the processor to another thread meanwhile.
            await generator.aclose()

    closed = new_loop()
    feed, generator = closed.run_until_complete(main())
    closed.close()
    assert feed.is_dropped
    # What has come can be had on another loop.
    assert loop.run_until_complete(next_of(generator)) == 2
    with pytest.raises(rust.LoopClosed, match="on which this Rust stream began is closed"):
        loop.run_until_complete(next_of(generator))
    assert loop.run_until_complete(rest(generator)) == []


def test_a_loop_that_closes_drops_a_stream_that_is_awaited(rust, new_loop):
    async def main():
        feed = rust.Feed()
        waiting = begun(feed.generator())
        waiting._log_destroy_pending = False
        await turns()
        return feed

    loop = new_loop()
    feed = loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()
    feed.wait_until_dropped()


def test_a_generator_goes_on_on_another_loop(rust, new_loop):
    feed = rust.Feed()
    generator = feed.generator()
    loops = [new_loop(), new_loop()]
    for number in range(6):
        feed.send(number)
        assert loops[number % 2].run_until_complete(next_of(generator)) == number
    loops[0].close()
    assert not feed.is_dropped
    loops[1].close()
    assert feed.is_dropped


def test_a_generator_can_be_dropped_on_another_thread(run, rust):
    async def main():
        feed = rust.Feed()
        feed.send(1, 2)
        generators = [feed.generator()]
        await generators[0].__anext__()
        thread = threading.Thread(target=generators.clear)
        thread.start()
        thread.join()
        # asyncio's hook makes a task that closes the generator.
        await until(lambda: feed.is_dropped)

    run(main())


# The protocol of PEP 525


def test_it_is_an_async_generator(run, rust):
    generator = rust.Feed().generator()
    assert isinstance(generator, collections.abc.AsyncGenerator) and inspect.isasyncgen(generator)
    assert (generator.__name__, generator.__qualname__) == ("rust_stream", "rust_stream")
    assert repr(generator).startswith("<async_generator object rust_stream at 0x")
    generator = rust.Feed().generator(name="rows")
    assert (generator.__name__, generator.__qualname__) == ("rows", "rows")
    assert isinstance(generator.ag_code, types.CodeType)
    assert weakref.ref(generator)() is generator


def test_it_shows_its_state(run, rust):
    async def main():
        feed = rust.Feed()
        generator = feed.generator()
        assert not generator.ag_running and generator.ag_await is None
        waiting = begun(generator)
        await turns()
        assert generator.ag_running and generator.ag_await is not None
        feed.send(1)
        await waiting
        assert not generator.ag_running and generator.ag_await is None
        assert getattr(generator, "ag_suspended", True)
        await generator.aclose()
        assert generator.ag_frame is None

    run(main())


def test_asend_takes_none_only(run, rust):
    async def main():
        feed = rust.Feed()
        feed.send(1, 2, 3)
        generator = feed.generator()
        with pytest.raises(TypeError, match="can't send non-None value to a just-started async generator"):
            await generator.asend("value")
        assert await generator.asend(None) == 1
        assert await generator.asend(None) == 2
        with pytest.raises(TypeError, match="a Rust stream takes no values"):
            await generator.asend("value")
        assert feed.is_dropped

    run(main())


def test_athrow_raises_the_exception_and_drops_the_stream(run, rust):
    async def main():
        for sent in ([], [1, 2]):
            feed = rust.Feed()
            generator = feed.generator()
            if sent:
                feed.send(*sent)
                await generator.__anext__()
            with pytest.raises(KeyError, match="thrown"):
                await generator.athrow(KeyError("thrown"))
            assert await rest(generator) == []
            await until(lambda: feed.is_dropped)

    run(main())


def test_only_one_at_a_time_may_await(run, rust):
    async def main():
        feed = rust.Feed()
        generator = feed.generator()
        waiting = begun(generator)
        await turns()
        for method in ("__anext__", "aclose"):
            with pytest.raises(RuntimeError, match="asynchronous generator is already running"):
                await getattr(generator, method)()
        feed.send(1)
        assert await waiting == 1
        await generator.aclose()

    run(main())


def test_the_hooks_of_sys_are_called(run, rust):
    async def main():
        first, final = [], []
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=first.append, finalizer=final.append)
        try:
            feed = rust.Feed()
            generator = feed.generator()
            assert first == []
            feed.send(1, 2)
            await generator.__anext__()
            assert first == [generator]
            del generator
            first.clear()
        finally:
            sys.set_asyncgen_hooks(*hooks)
        (generator,) = final
        assert await rest(generator) == [2] if feed.end() is None else None
        final.clear()

    run(main())


# Where it is polled


def test_the_stream_sees_the_loop_and_the_context_of_the_awaiting_task(loop, run, rust):
    async def main():
        generator = rust.calling_stream(lambda: (rust.current_loop(), rust.current_context()[CONTEXT]))
        seen = []
        for value in ("one", "two"):

            async def awaiting(value=value):
                CONTEXT.set(value)
                return await generator.__anext__()

            seen.append(await asyncio.ensure_future(awaiting()))
        await generator.aclose()
        return seen

    assert run(main()) == [(loop, "one"), (loop, "two")]


@pytest.mark.two_threads
def test_a_stream_is_polled_by_the_runtime_or_first_by_the_awaiting_thread(run, rust):
    async def main():
        here = threading.get_ident()
        lazy, eager = rust.calling_stream(threading.get_ident), rust.calling_stream(threading.get_ident, eager_start=True)
        assert await lazy.__anext__() != here
        assert step(eager.__anext__()) == here
        await lazy.aclose()
        await eager.aclose()

    run(main())


def test_after_a_full_batch_the_awaiting_thread_polls_first(run, rust, collected):
    # It does not if the batch took long, as it may when another thread gets the processor.
    count = 100 if collected else 1000
    assert run(waits(rust.Numbers(count).generator(capacity=2))) < count / 4


def test_a_local_stream_stays_on_its_thread(run, rust):
    async def main():
        feed, held = rust.Feed(), Item()
        gone = weakref.ref(held)
        generator = feed.local_generator(held)
        del held
        feed.send(1, 2)
        assert [step(generator.__anext__()), step(generator.__anext__())] == [1, 2]
        waiting = begun(generator)
        await turns()
        feed.send(3)
        assert await waiting == 3
        assert gone() is not None
        await generator.aclose()
        assert gone() is None

    run(main())


def test_cancelling_drops_a_local_stream_at_once(run, rust):
    async def main():
        feed, held = rust.Feed(), Item()
        gone = weakref.ref(held)
        waiting = begun(feed.local_generator(held))
        del held
        await turns()
        waiting.cancel()
        assert gone() is None
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(main())


def test_a_local_stream_is_refused_on_another_thread(run, rust, new_loop):
    async def main():
        generator = rust.empty_local_stream()
        with pytest.raises(RuntimeError, match="iterate over it on the thread that made it"):
            await asyncio.get_running_loop().run_in_executor(None, elsewhere, generator)

    def elsewhere(generator):
        loop = new_loop()
        try:
            loop.run_until_complete(next_of(generator))
        finally:
            loop.close()

    run(main())

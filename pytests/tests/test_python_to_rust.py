"""What Rust awaits in Python: any awaitable, as a task of its own, and what comes out of it."""

import asyncio
import contextvars
import gc
import sys
import threading
import traceback
import types

import pytest

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


async def value_after_a_turn(value):
    await asyncio.sleep(0)
    return value


async def value_at_once(value):
    return value


@types.coroutine
def generator_based(value):
    yield from asyncio.sleep(0).__await__()
    return value


class Awaitable:
    """An object that can be awaited, in the way a library makes one."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return self.value


async def generator(value):
    yield value


# A generator that ends in the middle is closed by its loop, which looks at the stack for that in debug mode. While the stack is being
# taken down, that crashes CPython 3.13.0 under uvloop, without any Rust: so they are kept until their loops have closed them.
STEPPED = []


def step_of(generator):
    STEPPED.append(generator)
    return generator.asend(None)


AWAITABLES = {
    "a coroutine": lambda rust: value_after_a_turn("value"),
    "a coroutine that never waits": lambda rust: value_at_once("value"),
    "the step of an async generator": lambda rust: step_of(generator("value")),
    "a coroutine of types.coroutine": lambda rust: generator_based("value"),
    "a task": lambda rust: asyncio.ensure_future(value_after_a_turn("value")),
    "an object with __await__": lambda rust: Awaitable("value"),
    "an asyncio future": lambda rust: resolved(asyncio.get_running_loop().create_future()),
    "a done asyncio future": lambda rust: done(asyncio.get_running_loop().create_future()),
    "a RustFuture": lambda rust: rust.turns(2, "value"),
    "gather": lambda rust: first_of(asyncio.gather(value_after_a_turn("value"))),
}


def resolved(future):
    asyncio.get_running_loop().call_soon(future.set_result, "value")
    return future


def done(future):
    future.set_result("value")
    return future


async def first_of(gathered):
    return (await gathered)[0]


@pytest.mark.parametrize("kind", AWAITABLES)
def test_any_awaitable_is_awaited(run, rust, kind):
    async def main():
        return await rust.into_future(AWAITABLES[kind](rust)).wait()

    assert run(main()) == "value"


@pytest.mark.parametrize("kind", AWAITABLES)
def test_any_awaitable_is_awaited_from_inside_of_a_rust_future(run, rust, kind):
    async def main():
        awaitable = AWAITABLES[kind](rust)
        return await rust.await_inside(lambda: awaitable)

    assert run(main()) == "value"


@pytest.mark.parametrize(
    "thing",
    [1, None, "text", object(), value_after_a_turn, [], Awaitable, generator("value")],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_not_awaitable_is_a_type_error_at_once(run, rust, thing):
    async def main():
        with pytest.raises(TypeError, match="await") as caught:
            rust.into_future(thing)
        assert type(thing).__name__ in str(caught.value)
        with pytest.raises(TypeError, match="await"):
            await rust.await_inside(lambda: thing)

    run(main())


def test_a_broken_dunder_await_is_an_error_of_the_task(run, rust):
    class Broken:
        def __await__(self):
            return 1

    async def main():
        with pytest.raises(TypeError):
            await rust.into_future(Broken()).wait()

    run(main())


def test_a_dunder_await_that_raises_is_an_error_of_the_task(run, rust):
    class Broken:
        def __await__(self):
            raise LookupError("no iterator")

    async def main():
        with pytest.raises(LookupError, match="no iterator"):
            await rust.into_future(Broken()).wait()

    run(main())


def test_the_same_object_comes_back(run, rust):
    async def main():
        value = object()
        assert await rust.into_future(value_after_a_turn(value)).wait() is value

    run(main())


def test_the_same_exception_comes_back_with_its_traceback(run, rust):
    exception = ValueError("from Python")

    async def who_raised_it():
        await asyncio.sleep(0)
        raise exception

    async def main():
        with pytest.raises(ValueError) as caught:
            await rust.into_future(who_raised_it()).wait()
        assert caught.value is exception
        return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    assert "who_raised_it" in run(main())


@pytest.mark.parametrize("kind", [KeyError, OSError, asyncio.TimeoutError, type("Own", (Exception,), {})])
def test_an_exception_crosses_twice_and_is_still_the_same(run, rust, kind):
    exception = kind("there and back")

    async def inner():
        raise exception

    async def main():
        with pytest.raises(kind) as caught:
            await rust.into_future(rust.into_future(inner()).wait()).wait()
        assert caught.value is exception

    run(main())


def test_a_coroutine_that_raises_stop_iteration_gives_pythons_own_error(run, rust):
    async def main():
        async def stops():
            raise StopIteration("too early")

        with pytest.raises(RuntimeError, match="StopIteration"):
            await rust.into_future(stops()).wait()

    run(main())


@pytest.mark.parametrize("value", [StopIteration("a value"), (1, 2), (), None, ValueError("not raised")])
def test_a_value_that_python_treats_specially_comes_back_as_it_is(run, rust, value):
    async def main():
        return await rust.into_future(value_after_a_turn(value)).wait()

    assert run(main()) is value


# Dropping and detaching


class Observed:
    """A coroutine that waits for ever and says what happens to it."""

    def __init__(self):
        self.started, self.ended = asyncio.Event(), asyncio.Event()
        self.how = None

    async def run(self):
        self.started.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.how = "cancelled"
            raise
        finally:
            self.ended.set()

    async def is_cancelled_by(self, end):
        await self.started.wait()
        end()
        await self.ended.wait()
        assert self.how == "cancelled"


def test_dropping_cancels_the_python_task(run, rust):
    async def main():
        observed = Observed()
        await observed.is_cancelled_by(rust.into_future(observed.run()).drop)

    run(main())


def test_cancelling_the_rust_future_that_awaits_cancels_the_python_task(run, rust):
    async def main():
        observed = Observed()
        await observed.is_cancelled_by(rust.into_future(observed.run()).wait().cancel)

    run(main())


def test_giving_up_in_rust_cancels_the_python_task(run, rust):
    async def main():
        turns, observed = 1, Observed()
        # Rust gives up before the task has started, or after.
        while not observed.started.is_set():
            turns, observed = 2 * turns, Observed()
            assert await rust.await_for_turns(observed.run(), turns) is None
        await observed.ended.wait()
        assert observed.how == "cancelled"

    run(main())


@pytest.mark.parametrize("leave", ["drop", "detach"])
def test_an_error_that_rust_has_asked_for_when_it_leaves_the_task_is_reported(run, rust, complaints, leave):
    """Another thread could leave the task just when its outcome is taken. Here that happens on cue."""

    class Left(asyncio.Future):
        def result(self):
            getattr(task, leave)()
            return super().result()

    async def main():
        nonlocal task
        told, error = asyncio.Event(), LookupError("lost between the two")
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: (complaints.append(context), told.set()))
        future = Left()
        task = rust.into_future(future)
        await rust.turns(1, None)
        future.set_exception(error)
        await told.wait()
        return error

    task = None
    error = run(main())
    complaint = complaints.pop()
    assert complaint["message"] == "Task exception was never retrieved"
    assert complaint["exception"] is error


def test_the_error_of_an_awaitable_that_cannot_be_started_is_reported_if_it_was_detached(run, rust, new_loop, complaints):
    async def main():
        told = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: (complaints.append(context), told.set()))
        rust.into_future(other.create_future()).detach()
        await told.wait()

    other = new_loop()
    run(main())
    other.close()
    assert isinstance(complaints.pop()["exception"], ValueError)


def test_the_python_task_may_clean_up_before_it_ends(run, rust):
    async def main():
        cleaned = asyncio.Event()
        started = asyncio.Event()

        async def with_clean_up():
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await asyncio.sleep(0)
                await rust.turns(3, None)
                cleaned.set()

        task = rust.into_future(with_clean_up())
        await started.wait()
        task.drop()
        await cleaned.wait()

    run(main())


def test_an_error_in_the_clean_up_of_what_was_dropped_is_nobodys_to_retrieve(run, rust, complaints):
    """Rust has gone, and it said so: what its task raises after that is told to the loop, as for any task."""

    async def main():
        started = asyncio.Event()

        async def fails_to_clean_up():
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                raise LookupError("in the clean-up")

        task = rust.into_future(fails_to_clean_up())
        await started.wait()
        task.drop()
        while not complaints:
            await rust.turns(1, None)
            gc.collect()

    run(main())
    complaint = complaints.pop()
    assert isinstance(complaint["exception"], LookupError)
    assert "never retrieved" in complaint["message"]


def test_a_coroutine_that_was_never_started_is_closed_without_a_warning(run, rust):
    ran = []

    async def never_started():
        ran.append(True)

    async def main():
        for _ in range(100):
            rust.into_future(never_started()).drop()
        await rust.turns(3, None)
        await asyncio.sleep(0)

    run(main())
    gc.collect()
    assert ran == []


def test_a_task_that_was_handed_over_is_cancelled_by_the_drop(run, rust):
    async def main():
        observed = Observed()
        python_task = asyncio.ensure_future(observed.run())
        await observed.started.wait()
        rust.into_future(python_task).drop()
        await asyncio.wait([python_task])
        assert python_task.cancelled()

    run(main())


def test_a_shielded_task_outlives_the_drop(run, rust):
    async def main():
        python_task = asyncio.ensure_future(value_after_a_turn("value"))
        rust.into_future(asyncio.shield(python_task)).drop()
        assert await python_task == "value"

    run(main())


def test_a_detached_task_runs_on(run, rust):
    async def main():
        ended = asyncio.Event()

        async def runs_on():
            await asyncio.sleep(0)
            await rust.turns(3, None)
            ended.set()

        rust.into_future(runs_on()).detach()
        gc.collect()
        await ended.wait()

    run(main())


def test_the_error_of_a_detached_task_is_told_to_the_loop(run, rust, complaints):
    async def main():
        told = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: (complaints.append(context), told.set()))

        async def fails():
            raise LookupError("nobody listens")

        rust.into_future(fails()).detach()
        while not told.is_set():
            await rust.turns(1, None)
            gc.collect()

    run(main())
    complaint = complaints.pop()
    assert isinstance(complaint["exception"], LookupError)
    assert "never retrieved" in complaint["message"]


def test_what_is_done_is_not_cancelled_by_the_drop(run, rust):
    async def main():
        python_task = asyncio.ensure_future(value_after_a_turn("value"))
        task = rust.into_future(python_task)
        await python_task
        task.drop()
        await asyncio.sleep(0)
        assert python_task.result() == "value"

    run(main())


# Cancelled from the Python side


def test_a_cancelled_python_task_is_a_cancelled_error_for_rust(run, rust):
    async def main():
        python_task = asyncio.ensure_future(asyncio.sleep(3600))
        future = rust.into_future(python_task).wait()
        await asyncio.sleep(0)
        python_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        assert future.cancelled()

    run(main())


def test_a_cancelled_python_future_is_a_cancelled_error_for_rust(run, rust):
    async def main():
        python_future = asyncio.get_running_loop().create_future()
        future = rust.into_future(python_future).wait()
        python_future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future

    run(main())


def test_a_coroutine_that_cancels_itself_is_a_cancelled_error_for_rust(run, rust):
    async def main():
        async def cancels_itself():
            raise asyncio.CancelledError("by itself")

        with pytest.raises(asyncio.CancelledError):
            await rust.into_future(cancels_itself()).wait()

    run(main())


# Loops


def test_a_closed_loop_says_so(new_loop, rust):
    loop = new_loop()
    loop.close()
    coroutine = value_after_a_turn(1)
    with pytest.raises(rust.LoopClosed, match="closed"):
        rust.into_future(coroutine, loop).block()
    coroutine.close()


def test_a_loop_that_closes_while_rust_waits_says_so(new_loop, rust):
    loop = new_loop()

    async def main():
        # A future of the loop, and not a task: a task would be told by whoever ends the loop.
        return rust.into_future(asyncio.get_running_loop().create_future())

    task = loop.run_until_complete(main())
    loop.close()
    with pytest.raises(rust.LoopClosed, match="closed"):
        task.block()


def test_a_task_that_had_no_time_for_its_first_step_ends_with_its_loop(rust, new_loop):
    loop, kept = new_loop(), []

    def stop_before_the_first_step(loop, coroutine, **how):
        loop.stop()
        return asyncio.Task(coroutine, loop=loop, **how)

    loop.set_task_factory(stop_before_the_first_step)
    loop.call_soon(lambda: kept.append(rust.into_future(asyncio.sleep(3600))))
    loop.run_forever()
    loop.close()
    with pytest.raises(rust.LoopClosed):
        kept.pop().block()


def test_a_rust_thread_that_waits_for_python_hears_of_the_end_while_it_waits(rust, new_loop):
    loop = new_loop()

    async def hand_over():
        started = asyncio.Event()

        async def sleep():
            started.set()
            await asyncio.sleep(3600)

        task = rust.into_future(sleep())
        await started.wait()
        return task

    task = loop.run_until_complete(hand_over())
    heard = []

    def wait():
        with pytest.raises(rust.LoopClosed):
            task.block()
        heard.append(True)

    waiter = threading.Thread(target=wait)
    waiter.start()
    loop.close()
    waiter.join()
    assert heard == [True]


def test_what_was_posted_to_a_loop_that_never_ran_again_says_so(new_loop, rust):
    loop = new_loop()
    coroutine = value_after_a_turn(1)
    task = rust.into_future(coroutine, loop)
    loop.close()
    with pytest.raises(rust.LoopClosed, match="closed"):
        task.block()
    coroutine.close()


def test_closing_a_loop_wakes_rust_in_another_thread(new_loop, rust):
    loop = new_loop()

    async def main():
        return rust.into_future(asyncio.get_running_loop().create_future())

    task = loop.run_until_complete(main())
    raised = []

    def block():
        with pytest.raises(rust.LoopClosed):
            task.block()
        raised.append(True)

    thread = threading.Thread(target=block)
    thread.start()
    loop.close()
    thread.join()
    assert raised == [True]


def test_another_thread_awaits_on_a_loop(loop, run, rust):
    async def main():
        def in_thread():
            return rust.into_future(value_after_a_turn("value"), loop).block()

        return await loop.run_in_executor(None, in_thread)

    assert run(main()) == "value"


def test_an_error_reaches_another_thread_as_the_same_object(loop, run, rust):
    exception = LookupError("for the thread")

    async def fails():
        raise exception

    async def main():
        def in_thread():
            with pytest.raises(LookupError) as caught:
                rust.into_future(fails(), loop).block()
            return caught.value

        return await loop.run_in_executor(None, in_thread)

    assert run(main()) is exception


def test_without_any_loop_the_error_says_which_call_gives_one(rust):
    coroutine = value_after_a_turn(1)
    with pytest.raises(RuntimeError, match="no running event loop.*_with_loop"):
        rust.into_future(coroutine)
    coroutine.close()


def test_rust_awaits_on_the_loop_that_was_named_from_a_task_of_another(new_loop, loop, run, rust):
    """Rust may hold awaitables of several loops: each is awaited on its own."""
    other, ready = new_loop(), threading.Event()

    def turn():
        other.call_soon(ready.set)
        other.run_forever()

    thread = threading.Thread(target=turn)
    thread.start()
    ready.wait()

    async def where():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    async def main():
        here = await rust.into_future(where()).wait()
        there = await rust.into_future(where(), other).wait()
        return here is loop, there is other

    assert run(main()) == (True, True)
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


# Contexts


async def read():
    await asyncio.sleep(0)
    return VARIABLE.get()


async def write(value):
    VARIABLE.set(value)
    await asyncio.sleep(0)
    return VARIABLE.get()


def test_the_context_is_the_callers(run, rust):
    async def main():
        VARIABLE.set("of the caller")
        awaited = rust.into_future(read()).wait()
        inside = rust.await_inside(read)
        VARIABLE.set("later")
        return await awaited, await inside

    assert run(main()) == ("of the caller", "of the caller")


def test_what_the_coroutine_sets_stays_with_it_as_with_a_task(run, rust):
    async def main():
        VARIABLE.set("outer")
        assert await rust.into_future(write("inner")).wait() == "inner"
        assert await rust.await_inside(lambda: write("inner")) == "inner"
        return VARIABLE.get()

    assert run(main()) == "outer"


def test_siblings_do_not_see_each_others_context(run, rust):
    async def main():
        VARIABLE.set("outer")
        written = [rust.into_future(write(number)).wait() for number in range(50)]
        inside = [rust.await_inside(lambda number=number: write(number)) for number in range(50)]
        numbers = list(range(50))
        assert await asyncio.gather(*written) == numbers
        assert await asyncio.gather(*inside) == numbers
        return await rust.into_future(read()).wait()

    assert run(main()) == "outer"


def test_two_coroutines_that_one_rust_future_awaits_are_siblings(run, rust):
    async def main():
        VARIABLE.set("outer")

        context = await rust.call_inside(rust.current_context)
        first = await rust.into_future(write("first"), context=context).wait()
        second = await rust.into_future(read(), context=context).wait()
        assert (first, second) == ("first", "outer")
        assert context[VARIABLE] == "outer"

    run(main())


def test_a_context_that_was_given_is_the_one(loop, run, rust):
    context = contextvars.copy_context()
    context.run(VARIABLE.set, "given")

    async def main():
        VARIABLE.set("of the caller")
        on_the_loop = await rust.into_future(read(), loop, context).wait()
        from_thread = await loop.run_in_executor(None, lambda: rust.into_future(read(), loop, context).block())
        return on_the_loop, from_thread

    assert run(main()) == ("given", "given")


def test_the_coroutine_runs_in_a_task_of_its_own(run, rust):
    async def who():
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def main():
        own = asyncio.current_task()
        other = await rust.into_future(who()).wait()
        assert isinstance(other, asyncio.Task)
        assert other is not own
        assert asyncio.current_task() is own

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_coroutine_passes_out_of_the_loop_and_reaches_rust_too(loop, run, rust, kind):
    interrupt = kind("stop")

    async def interrupted(go):
        await go
        raise interrupt

    async def main():
        go = loop.create_future()
        return go, rust.into_future(interrupted(go)).wait()

    go, future = run(main())
    go.set_result(None)
    with pytest.raises(kind) as caught:
        loop.run_forever()
    assert caught.value is interrupt
    # As with a task that awaits another one: it ends with the same, and so stops the loop too, now or a turn before.
    while not future.done():
        with pytest.raises(kind) as caught:
            loop.run_forever()
        assert caught.value is interrupt
    assert future.exception() is interrupt


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_first_step_passes_out_of_the_loop_and_reaches_rust_too(loop, run, rust, kind):
    interrupt = kind("at once")

    async def interrupted():
        raise interrupt

    coroutine = interrupted()
    task = rust.into_future(coroutine, loop)
    with pytest.raises(kind) as caught:
        loop.run_forever()
    assert caught.value is interrupt
    # The loop tells Rust in its next turn.
    run(asyncio.sleep(0))
    with pytest.raises(kind) as caught:
        task.block()
    assert caught.value is interrupt


def test_tasks_are_named_by_asyncio_and_seen_by_it(run, rust):
    async def main():
        observed = Observed()
        before = asyncio.all_tasks()
        task = rust.into_future(observed.run())
        await observed.started.wait()
        (python_task,) = asyncio.all_tasks() - before
        assert "Observed.run" in repr(python_task)
        task.drop()
        await observed.ended.wait()

    run(main())


if sys.version_info >= (3, 12):

    def test_an_eager_task_factory_is_used(loop, run, rust):
        # uvloop passes options of later Pythons, which the factory of this one may not know.
        def factory(loop, coroutine, *, context=None, **_later_options):
            return asyncio.eager_task_factory(loop, coroutine, context=context)

        async def main():
            loop.set_task_factory(factory)
            return await rust.into_future(value_after_a_turn("value")).wait()

        assert run(main()) == "value"


def test_a_task_factory_is_used(loop, run, rust):
    made = []

    def factory(loop, coroutine, *, context=None, **_later_options):
        made.append(coroutine.__name__)
        options = {} if context is None else {"context": context}
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main():
        loop.set_task_factory(factory)
        return await rust.into_future(value_after_a_turn("value")).wait()

    assert run(main()) == "value"
    assert "value_after_a_turn" in made


class NotWeaklyReferenced:
    """A loop as an extension type may be one."""

    __slots__ = ("loop",)

    def __init__(self, loop):
        self.loop = loop

    def __getattr__(self, name):
        return getattr(self.loop, name)


def test_a_loop_that_cannot_be_referenced_weakly_is_an_error_each_time(run, loop, rust):
    async def main():
        unfit = NotWeaklyReferenced(loop)
        for _ in range(2):
            with pytest.raises(TypeError, match="NotWeaklyReferenced.*__weakref__"):
                rust.Gate().wait(unfit)
            with pytest.raises(TypeError, match="NotWeaklyReferenced.*__weakref__"):
                rust.into_future(value_after_a_turn(1), unfit)

    run(main())

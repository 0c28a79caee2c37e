"""Rust awaits Python: any awaitable, in its own task."""

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
    """An awaitable object, as libraries define them."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return self.value


async def generator(value):
    yield value


# The loop closes an unfinished generator, and in debug mode it inspects the stack for that. During the unwinding of the stack this
# crashes CPython 3.13.0 under uvloop, even without Rust. So keep the generators until their loops have closed them.
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
def test_rust_awaits_any_awaitable(run, rust, kind):
    async def main():
        return await rust.into_future(AWAITABLES[kind](rust)).wait()

    assert run(main()) == "value"


@pytest.mark.parametrize("kind", AWAITABLES)
def test_a_rust_future_awaits_any_awaitable(run, rust, kind):
    async def main():
        awaitable = AWAITABLES[kind](rust)
        return await rust.await_inside(lambda: awaitable)

    assert run(main()) == "value"


@pytest.mark.parametrize(
    "thing",
    [1, None, "text", object(), value_after_a_turn, [], Awaitable, generator("value")],
    ids=lambda thing: type(thing).__name__,
)
def test_an_object_that_is_not_awaitable_raises_type_error_at_once(run, rust, thing):
    async def main():
        with pytest.raises(TypeError, match="await") as caught:
            rust.into_future(thing)
        assert type(thing).__name__ in str(caught.value)
        with pytest.raises(TypeError, match="await"):
            await rust.await_inside(lambda: thing)

    run(main())


def test_a_broken_await_method_fails_the_task(run, rust):
    class Broken:
        def __await__(self):
            return 1

    async def main():
        with pytest.raises(TypeError):
            await rust.into_future(Broken()).wait()

    run(main())


def test_an_await_method_that_raises_fails_the_task(run, rust):
    class Broken:
        def __await__(self):
            raise LookupError("no iterator")

    async def main():
        with pytest.raises(LookupError, match="no iterator"):
            await rust.into_future(Broken()).wait()

    run(main())


def test_rust_returns_the_same_object(run, rust):
    async def main():
        value = object()
        assert await rust.into_future(value_after_a_turn(value)).wait() is value

    run(main())


def test_rust_raises_the_same_exception_with_its_traceback(run, rust):
    exception = ValueError("from Python")

    async def raises_it():
        await asyncio.sleep(0)
        raise exception

    async def main():
        with pytest.raises(ValueError) as caught:
            await rust.into_future(raises_it()).wait()
        assert caught.value is exception
        return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    assert "raises_it" in run(main())


@pytest.mark.parametrize("kind", [KeyError, OSError, asyncio.TimeoutError, type("Own", (Exception,), {})])
def test_an_exception_that_crosses_twice_is_the_same_object(run, rust, kind):
    exception = kind("there and back")

    async def inner():
        raise exception

    async def main():
        with pytest.raises(kind) as caught:
            await rust.into_future(rust.into_future(inner()).wait()).wait()
        assert caught.value is exception

    run(main())


def test_stop_iteration_from_a_coroutine_becomes_a_runtime_error(run, rust):
    async def main():
        async def stops():
            raise StopIteration("too early")

        with pytest.raises(RuntimeError, match="StopIteration"):
            await rust.into_future(stops()).wait()

    run(main())


@pytest.mark.parametrize("value", [StopIteration("a value"), (1, 2), (), None, ValueError("not raised")])
def test_special_values_come_back_unchanged(run, rust, value):
    async def main():
        return await rust.into_future(value_after_a_turn(value)).wait()

    assert run(main()) is value


# Dropping and detaching


class Observed:
    """A coroutine that waits for ever and records how it ends."""

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


def test_dropping_the_rust_task_cancels_the_python_task(run, rust):
    async def main():
        observed = Observed()
        await observed.is_cancelled_by(rust.into_future(observed.run()).drop)

    run(main())


def test_cancelling_the_awaiting_rust_future_cancels_the_python_task(run, rust):
    async def main():
        observed = Observed()
        await observed.is_cancelled_by(rust.into_future(observed.run()).wait().cancel)

    run(main())


def test_a_rust_future_that_gives_up_cancels_the_python_task(run, rust):
    async def main():
        turns, observed = 1, Observed()
        # Rust gives up before the task starts, or after.
        while not observed.started.is_set():
            turns, observed = 2 * turns, Observed()
            assert await rust.await_for_turns(observed.run(), turns) is None
        await observed.ended.wait()
        assert observed.how == "cancelled"

    run(main())


@pytest.mark.parametrize("leave", ["drop", "detach"])
def test_an_error_that_arrives_while_rust_leaves_the_task_is_reported(run, rust, complaints, leave):
    """Rust leaves the task exactly while its outcome is read. Another thread could do the same by chance."""

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


def test_a_detached_awaitable_that_cannot_start_reports_its_error(run, rust, new_loop, complaints):
    async def main():
        told = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: (complaints.append(context), told.set()))
        rust.into_future(other.create_future()).detach()
        await told.wait()

    other = new_loop()
    run(main())
    other.close()
    assert isinstance(complaints.pop()["exception"], ValueError)


def test_a_dropped_python_task_can_clean_up(run, rust):
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


def test_an_error_in_the_clean_up_of_a_dropped_task_is_reported(run, rust, complaints):
    """Rust no longer awaits the task. So the loop gets its error, as that of any task."""

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


def test_dropping_an_unstarted_coroutine_closes_it_without_a_warning(run, rust):
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


def test_dropping_cancels_a_task_that_python_created(run, rust):
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


def test_the_error_of_a_detached_task_is_reported_to_the_loop(run, rust, complaints):
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


def test_dropping_does_not_cancel_a_done_task(run, rust):
    async def main():
        python_task = asyncio.ensure_future(value_after_a_turn("value"))
        task = rust.into_future(python_task)
        await python_task
        task.drop()
        await asyncio.sleep(0)
        assert python_task.result() == "value"

    run(main())


# Cancelled from the Python side


def test_rust_sees_a_cancelled_task_as_a_cancelled_error(run, rust):
    async def main():
        python_task = asyncio.ensure_future(asyncio.sleep(3600))
        future = rust.into_future(python_task).wait()
        await asyncio.sleep(0)
        python_task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        assert future.cancelled()

    run(main())


def test_rust_sees_a_cancelled_future_as_a_cancelled_error(run, rust):
    async def main():
        python_future = asyncio.get_running_loop().create_future()
        future = rust.into_future(python_future).wait()
        python_future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future

    run(main())


def test_rust_sees_a_coroutine_that_cancels_itself_as_a_cancelled_error(run, rust):
    async def main():
        async def cancels_itself():
            raise asyncio.CancelledError("by itself")

        with pytest.raises(asyncio.CancelledError):
            await rust.into_future(cancels_itself()).wait()

    run(main())


# Loops


def test_a_closed_loop_raises_loop_closed(new_loop, rust):
    loop = new_loop()
    loop.close()
    coroutine = value_after_a_turn(1)
    with pytest.raises(rust.LoopClosed, match="closed"):
        rust.into_future(coroutine, loop).block()
    coroutine.close()


def test_a_pending_future_raises_loop_closed_after_its_loop_closes(new_loop, rust):
    loop = new_loop()

    async def main():
        # This is a future and not a task: the end of a loop cancels tasks, but not futures.
        return rust.into_future(asyncio.get_running_loop().create_future())

    task = loop.run_until_complete(main())
    loop.close()
    with pytest.raises(rust.LoopClosed, match="closed"):
        task.block()


def test_a_task_without_a_first_step_raises_loop_closed(rust, new_loop):
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


def test_closing_a_loop_wakes_a_thread_that_awaits_a_task(rust, new_loop):
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


def test_an_awaitable_for_a_loop_that_never_runs_raises_loop_closed(new_loop, rust):
    loop = new_loop()
    coroutine = value_after_a_turn(1)
    task = rust.into_future(coroutine, loop)
    loop.close()
    with pytest.raises(rust.LoopClosed, match="closed"):
        task.block()
    coroutine.close()


def test_closing_a_loop_wakes_a_thread_that_awaits_a_future(new_loop, rust):
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


def test_another_thread_can_await_on_the_loop(loop, run, rust):
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


def test_without_a_loop_the_error_names_the_functions_that_take_one(rust):
    coroutine = value_after_a_turn(1)
    with pytest.raises(RuntimeError, match="no running event loop.*_with_loop"):
        rust.into_future(coroutine)
    coroutine.close()


def test_rust_awaits_on_a_named_loop_from_a_task_of_another(new_loop, loop, run, rust):
    """Rust may hold awaitables of several loops. It awaits each on its own loop."""
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


def test_a_coroutine_does_not_change_the_context_of_its_caller(run, rust):
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


def test_two_coroutines_awaited_by_one_rust_future_do_not_share_changes(run, rust):
    async def main():
        VARIABLE.set("outer")

        context = await rust.call_inside(rust.current_context)
        first = await rust.into_future(write("first"), context=context).wait()
        second = await rust.into_future(read(), context=context).wait()
        assert (first, second) == ("first", "outer")
        assert context[VARIABLE] == "outer"

    run(main())


def test_a_given_context_replaces_that_of_the_caller(loop, run, rust):
    context = contextvars.copy_context()
    context.run(VARIABLE.set, "given")

    async def main():
        VARIABLE.set("of the caller")
        on_the_loop = await rust.into_future(read(), loop, context).wait()
        from_thread = await loop.run_in_executor(None, lambda: rust.into_future(read(), loop, context).block())
        return on_the_loop, from_thread

    assert run(main()) == ("given", "given")


def test_the_coroutine_runs_in_a_task_of_its_own(run, rust):
    async def which_task():
        first = asyncio.current_task()
        await asyncio.sleep(0)
        assert asyncio.current_task() is first
        return first

    async def main():
        own = asyncio.current_task()
        other = await rust.into_future(which_task()).wait()
        assert isinstance(other, asyncio.Task)
        assert other is not own
        assert asyncio.current_task() is own

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_coroutine_leaves_the_loop_and_reaches_rust(loop, run, rust, kind):
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
    # The awaiting future ends with the same interrupt, as a task that awaits a task does. So it stops the loop too, now or in
    # the turn before.
    while not future.done():
        with pytest.raises(kind) as caught:
            loop.run_forever()
        assert caught.value is interrupt
    assert future.exception() is interrupt


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_first_step_leaves_the_loop_and_reaches_rust(loop, run, rust, kind):
    interrupt = kind("at once")

    async def interrupted():
        raise interrupt

    coroutine = interrupted()
    task = rust.into_future(coroutine, loop)
    with pytest.raises(kind) as caught:
        loop.run_forever()
    assert caught.value is interrupt
    # Rust gets the outcome in the next turn.
    run(asyncio.sleep(0))
    with pytest.raises(kind) as caught:
        task.block()
    assert caught.value is interrupt


def test_all_tasks_lists_the_task_with_its_coroutine(run, rust):
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
        # uvloop passes options of later Pythons.
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


def test_a_loop_that_makes_its_own_tasks_makes_these_too(rust):
    made = []

    class Loop(asyncio.SelectorEventLoop):
        def create_task(self, coroutine, **options):
            made.append(coroutine.__name__)
            return super().create_task(coroutine, **options)

    async def main():
        return await rust.into_future(value_after_a_turn("value")).wait()

    loop = Loop()
    assert loop.run_until_complete(main()) == "value"
    loop.close()
    assert made == ["main", "value_after_a_turn"]


class NotWeaklyReferenced:
    """A loop without weak references, as an extension type may be."""

    __slots__ = ("loop",)

    def __init__(self, loop):
        self.loop = loop

    def __getattr__(self, name):
        return getattr(self.loop, name)


def test_a_loop_without_weak_references_raises_type_error_each_time(run, loop, rust):
    async def main():
        unfit = NotWeaklyReferenced(loop)
        for _ in range(2):
            with pytest.raises(TypeError, match="NotWeaklyReferenced.*__weakref__"):
                rust.Gate().wait(unfit)
            with pytest.raises(TypeError, match="NotWeaklyReferenced.*__weakref__"):
                rust.into_future(value_after_a_turn(1), unfit)

    run(main())

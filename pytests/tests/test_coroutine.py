"""A coroutine of Rust goes wherever asyncio takes an `async def`, and is asked what one is asked."""

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import io
import sys
import threading
import types
import warnings
import weakref

import anyio
import pytest

WAYS = {}


def way(function=None, *, since=(3, 9)):
    """Registers a way to run a coroutine within a loop, for the Pythons that have it."""
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
    async with asyncio.TaskGroup() as group:
        # Its errors come in a group, which is none of our business.
        task = group.create_task(asyncio.wait([asyncio.ensure_future(coroutine)]))
    return task.result()[0].pop().result()


@way(since=(3, 11))
async def timeout(coroutine):
    async with asyncio.timeout(60):
        return await coroutine


@way(since=(3, 12))
async def eager_task(coroutine):
    loop = asyncio.get_running_loop()
    task = asyncio.eager_task_factory(loop, coroutine)
    # It has begun before the loop's next turn.
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
def test_it_gives_its_value_wherever_a_coroutine_goes(loop, run, rust, way, when):
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
def test_it_raises_its_error_wherever_a_coroutine_goes(loop, run, rust, way):
    gate = rust.Gate()

    async def main():
        loop.call_soon(gate.fail, LookupError("from Rust"))
        await WAYS[way](gate.coroutine())

    with pytest.raises(LookupError, match="from Rust"):
        run(main())


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"shield", "wait", "as_completed", "task_group", "run_coroutine_threadsafe"}))
def test_cancelling_drops_the_rust_future_wherever_a_coroutine_goes(run, rust, way):
    """Not where asyncio itself keeps a cancellation from the coroutine."""
    gate, started = rust.Gate(), []

    async def main():
        task = asyncio.ensure_future(WAYS[way](announced()))
        while not started:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    async def announced():
        started.append(True)
        return await gate.coroutine()

    assert run(main())
    gate.wait_until_dropped()


def test_asyncio_run_takes_one_that_was_made_without_a_loop(rust):
    """https://github.com/awestlake87/pyo3-asyncio/issues/50"""
    assert asyncio.run(rust.turns(3, "value")) == "value"
    asyncio.run(rust.nap(0))
    assert asyncio.run(rust.lazy_turns(0, "value")) == "value"


def test_run_until_complete_takes_one(loop, rust):
    assert loop.run_until_complete(rust.lazy_turns(3, "value")) == "value"
    assert loop.run_until_complete(rust.turns(3, "value")) == "value"


if sys.version_info >= (3, 11):

    def test_a_runner_takes_one(new_loop, rust):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(rust.turns(3, "first")) == "first"
            assert runner.run(rust.lazy_turns(3, "second")) == "second"

    def test_a_task_group_takes_one_and_cancels_it(run, rust):
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

    def test_a_loop_that_starts_tasks_eagerly_takes_one(loop, run, rust):
        def eager(loop, coroutine, context=None, **_):
            # uvloop passes what only a later Python's factory knows.
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


def test_a_future_of_a_thread_without_a_loop_is_awaited_on_another(run, rust):
    async def main():
        made = await asyncio.to_thread(rust.turns, 3, "value")
        assert asyncio.iscoroutine(made)
        return await made

    assert run(main()) == "value"


def test_a_plain_function_makes_one_for_run_until_complete(loop, rust):
    def main():
        return rust.turns(3, "value")

    assert loop.run_until_complete(main()) == "value"


def test_anyio_task_groups_take_a_function_that_gives_one(run, rust):
    async def main():
        gate, never = rust.Gate(), rust.Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(gate.coroutine)
            group.start_soon(never.coroutine)
            await anyio.sleep(0)
            gate.open(None)
            gate.wait_until_dropped()
            group.cancel_scope.cancel()
        never.wait_until_dropped()

        never = rust.Gate()
        with anyio.move_on_after(0.001) as scope:
            await never.coroutine()
        assert scope.cancel_called
        never.wait_until_dropped()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.001):
                gate = rust.Gate()
                await gate.coroutine()

    run(main())


def test_nothing_runs_before_it_is_awaited(run, rust):
    async def main():
        calls = []
        gate, calling = rust.Gate(), rust.lazy_call(lambda: calls.append("called"))
        coroutine = gate.coroutine()
        # What is started later has been through the runtime by now.
        await rust.turns(10, None)
        assert gate.polls == 0 and calls == []
        await calling
        assert calls == ["called"]
        coroutine.close()
        gate.wait_until_dropped()
        assert gate.polls == 0

    run(main())


def test_without_a_running_loop_a_step_says_so_and_ends_it(rust):
    coroutine = rust.lazy_turns(0, None)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_it_is_a_coroutine_and_nothing_else(rust):
    coroutine = rust.lazy_turns(0, None)
    assert isinstance(coroutine, collections.abc.Coroutine) and inspect.isawaitable(coroutine)
    assert asyncio.iscoroutine(coroutine) and not asyncio.isfuture(coroutine)
    # That one asks for Python's own type, which it only says to have.
    assert inspect.iscoroutine(coroutine) and type(coroutine) is not types.CoroutineType
    assert types.coroutine(lambda: coroutine)() is coroutine
    for kind in (collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator):
        assert not isinstance(coroutine, kind)
    for use in (iter, list, lambda it: [*it], lambda it: dict(one=it)["one"] in it):
        with pytest.raises(TypeError, match="iterable"):
            use(coroutine)
    with pytest.raises(TypeError):
        type(coroutine)()
    coroutine.close()


def test_it_has_the_name_of_its_function_or_another(rust):
    coroutine = rust.lazy_turns(0, None)
    assert (coroutine.__name__, coroutine.__qualname__) == ("lazy_turns", "lazy_turns")

    class Name(str):
        def __str__(self):
            # Whoever reads the name may ask the coroutine.
            return coroutine.__qualname__.upper()

    name = Name("Client.fetch")
    coroutine.__name__, coroutine.__qualname__ = "fetch", name
    assert coroutine.__name__ == "fetch" and coroutine.__qualname__ is name
    assert repr(coroutine).startswith("<RustCoroutine CLIENT.FETCH created at 0x")
    with pytest.raises(TypeError, match="__name__ must be set to a string object"):
        coroutine.__name__ = 1
    with pytest.raises(TypeError, match="__qualname__ must be set to a string object"):
        coroutine.__qualname__ = None
    with pytest.raises((TypeError, AttributeError)):
        del coroutine.__name__
    with pytest.raises(AttributeError):
        coroutine.unknown = 1
    coroutine.__qualname__ = "fetch"
    coroutine.close()


def test_its_repr_and_its_frame_follow_its_state(run, rust):
    async def main():
        gate = rust.Gate()
        coroutine = gate.coroutine()
        assert " created at " in repr(coroutine)
        frame = coroutine.cr_frame
        assert frame.f_lasti == -1 and frame.f_back is None
        assert frame.f_code.co_filename.endswith(".rs") and frame.f_lineno == coroutine.cr_code.co_firstlineno > 0
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        assert " suspended at " in repr(coroutine)
        assert coroutine.cr_frame.f_lasti >= 0
        assert asyncio.isfuture(coroutine.cr_await)
        gate.open(None)
        await task
        assert " finished at " in repr(coroutine)
        assert coroutine.cr_frame is None and coroutine.cr_await is None and coroutine.cr_origin is None

    run(main())


def test_its_task_shows_where_it_is(run, rust):
    async def main():
        gate = rust.Gate()
        task = asyncio.ensure_future(gate.coroutine())
        await asyncio.sleep(0)
        assert "coro=<rust_future() running at pytests/src/gate.rs:" in repr(task)
        (frame,) = task.get_stack()
        assert frame.f_code.co_name == "rust_future"
        printed = io.StringIO()
        task.print_stack(file=printed)
        assert 'gate.rs", line' in printed.getvalue() and "in rust_future" in printed.getvalue()
        gate.open(None)
        await task
        assert "coro=<rust_future() done" in repr(task)
        assert task.get_stack() == []

    run(main())


def test_one_that_is_never_awaited_is_warned_of(rust):
    gate = rust.Gate()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gate.coroutine()
        gc.collect()
    assert [(it.category, str(it.message)) for it in caught] == [
        (RuntimeWarning, "coroutine 'rust_future' was never awaited")
    ]
    assert caught[0].filename == __file__
    gate.wait_until_dropped()
    assert gate.polls == 0


def test_where_warnings_are_errors_the_one_of_a_coroutine_cannot_be_raised(rust, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append(it.exc_value))
    gate = rust.Gate()
    with pytest.raises(LookupError):
        try:
            raise LookupError("under way")
        finally:
            gate.coroutine()
    gate.wait_until_dropped()
    assert [(type(it), str(it)) for it in unraisable] == [
        (RuntimeWarning, "coroutine 'rust_future' was never awaited")
    ]


@pytest.mark.parametrize("end", ["close", "throw"])
def test_one_that_is_ended_before_it_began_is_not_warned_of(rust, end):
    gate = rust.Gate()
    coroutine = gate.coroutine()
    if end == "close":
        coroutine.close()
    else:
        with pytest.raises(ValueError):
            coroutine.throw(ValueError)
    gate.wait_until_dropped()
    del coroutine
    gc.collect()


def test_rust_that_gives_one_up_unstarted_closes_it(run, rust):
    async def main():
        gate = rust.Gate()
        rust.into_future(gate.coroutine()).drop()
        await rust.turns(1, None)
        gate.wait_until_dropped()
        assert gate.polls == 0

    run(main())


def test_it_is_awaited_once(run, rust):
    async def main():
        coroutine = rust.lazy_turns(1, "value")
        assert await coroutine == "value"
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await coroutine

        gate = rust.Gate()
        coroutine = gate.coroutine()

        async def waiter():
            return await coroutine

        first, second = asyncio.ensure_future(waiter()), asyncio.ensure_future(waiter())
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await second
        gate.open("value")
        assert await first == "value"

    run(main())


def test_what_its_first_poll_calls_cannot_run_it(loop, rust):
    refused = []

    def call_back():
        state = inspect.getcoroutinestate(coroutine)
        for use in (lambda: coroutine.send(None), lambda: coroutine.throw(ValueError), coroutine.close):
            with pytest.raises(ValueError, match="coroutine already executing") as caught:
                use()
            refused.append(caught.value)
        assert " running at " in repr(coroutine) and coroutine.cr_await is None
        gc.collect()
        return state

    coroutine = rust.eager_call(call_back)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    assert loop.run_until_complete(coroutine) == inspect.CORO_RUNNING
    assert len(refused) == 3


def test_of_eight_threads_one_makes_the_step(new_loop, rust):
    refused, let_go = threading.Semaphore(0), threading.Event()
    outcomes = []

    def hold():
        let_go.wait()
        return "value"

    coroutine = rust.eager_call(hold)

    async def step():
        try:
            coroutine.send(None)
        except StopIteration as done:
            outcomes.append(done.value)
        except ValueError as error:
            outcomes.append(str(error))
            refused.release()

    def thread():
        loop = new_loop()
        loop.run_until_complete(step())
        loop.close()

    threads = [threading.Thread(target=thread) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(7):
        refused.acquire()
    let_go.set()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["coroutine already executing"] * 7 + ["value"]


def test_a_step_that_panics_ends_it(run, rust, capfd, complaints):
    async def main():
        coroutine = rust.refused()
        with pytest.raises(BaseException, match="no more tasks"):
            await coroutine
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine

    run(main())
    assert "no more tasks" in capfd.readouterr().err
    # The runtime dropped what it was given, which is told to whoever waits for it: nobody.
    assert "was the runtime shut down?" in str(complaints.pop()["exception"])


@pytest.mark.parametrize("end", ["close", "drop"])
def test_a_panic_in_the_drop_of_its_future_hits_nobody(rust, capfd, end):
    live = rust.made() - rust.dropped()
    coroutine = rust.panics_when_dropped()
    if end == "close":
        coroutine.close()
    else:
        with pytest.warns(RuntimeWarning, match="never awaited"):
            del coroutine
    rust.wait_until_live(live)
    assert "panicked at" in capfd.readouterr().err


def test_the_rust_future_sees_the_context_of_the_task_that_awaits(loop, run, rust):
    var = contextvars.ContextVar("var", default="nobody's")

    async def main():
        var.set("the maker's")
        coroutines = [rust.lazy_call(lambda: rust.current_context()[var]) for _ in range(3)]
        assert await coroutines[0] == "the maker's"

        async def waiter(value, coroutine):
            var.set(value)
            return await coroutine

        assert await asyncio.gather(waiter("one's", coroutines[1]), waiter("two's", coroutines[2])) == ["one's", "two's"]
        assert await rust.lazy_call(rust.current_loop) is loop

    run(main())


def test_who_awaits_is_the_current_task_in_its_own_context_before_and_after(run, rust):
    var = contextvars.ContextVar("var")

    async def waiter(number):
        var.set(number)
        task = asyncio.current_task()
        for turns in range(5):
            assert await rust.lazy_turns(turns, number) == number
            assert asyncio.current_task() is task and var.get() == number

    async def main():
        await asyncio.gather(*(waiter(number) for number in range(50)))

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["Rust", "the next step"])
def test_an_interrupt_passes_out_of_the_loop_which_goes_on_afterwards(loop, run, rust, kind, where):
    async def main():
        gate = rust.Gate()
        other = asyncio.ensure_future(other_gate.coroutine())
        await asyncio.sleep(0)
        if where == "Rust":
            gate.fail(kind("an interrupt"))
        else:
            gate.open(None)
        other_gate.open("value")
        others.append(other)
        await gate.coroutine()
        raise kind("an interrupt")

    other_gate, others = rust.Gate(), []
    with pytest.raises(kind, match="an interrupt"):
        run(main())
    assert run(others[0]) == "value"


def test_it_is_gone_with_the_last_reference(run, rust):
    class Value:
        pass

    async def main():
        gone = []
        for turns in (0, 3):
            value = Value()
            coroutine = rust.lazy_turns(turns, value)
            gone += [weakref.ref(value), weakref.ref(coroutine)]
            task = asyncio.ensure_future(coroutine)
            del value, coroutine
            await task
            gone.append(weakref.ref(task))
            del task
        gate = rust.Gate()
        suspended = gate.coroutine()
        suspended.send(None)
        gone.append(weakref.ref(suspended))
        del suspended
        gate.wait_until_dropped()
        # asyncio's own last step still refers to the task.
        await asyncio.sleep(0)
        await rust.lazy_turns(1, None)
        return [reference() for reference in gone]

    gc.disable()
    try:
        assert run(main()) == [None] * 7
    finally:
        gc.enable()


@pytest.mark.parametrize("cancellable", [False, True])
def test_it_is_collected_in_a_cycle_with_the_value_that_it_would_have_returned(run, rust, cancellable):
    class Holder:
        pass

    async def main():
        gate, holder = rust.Gate(), Holder()
        holder.coroutine = rust.persistent(gate, []) if cancellable else gate.coroutine()
        holder.iterator = holder.coroutine.__await__()
        future = holder.iterator.send(None)
        gate.open(holder)
        await asyncio.wait([future])
        gone = weakref.ref(holder)
        del holder, future
        gc.collect()
        return gone()

    assert run(main()) is None


def test_a_task_that_its_loop_forgot_is_collected_with_it(new_loop, rust, complaints):
    gate = rust.Gate()

    async def main():
        task = asyncio.ensure_future(gate.coroutine())
        await asyncio.sleep(0)
        return weakref.ref(task), weakref.ref(task.get_coro())

    loop = new_loop()
    task, coroutine = loop.run_until_complete(main())
    loop.close()
    del loop
    gc.collect()
    # The complaint has the task.
    assert [it["message"] for it in complaints] == ["Task was destroyed but it is pending!"]
    complaints.clear()
    gc.collect()
    assert task() is None and coroutine() is None
    gate.wait_until_dropped()


@pytest.mark.parametrize("somebody_listens", [False, True])
def test_it_is_dropped_on_another_thread(run, rust, somebody_listens):
    async def main():
        gate, heard = rust.Gate(), asyncio.Event()
        coroutines = [gate.coroutine()]
        future = coroutines[0].send(None)
        if somebody_listens:
            future.add_done_callback(lambda future: heard.set())
        thread = threading.Thread(target=coroutines.clear)
        thread.start()
        thread.join()
        gate.wait_until_dropped()
        assert future.cancelled()
        if somebody_listens:
            await heard.wait()

    run(main())

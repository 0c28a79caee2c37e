"""A coroutine of Rust is asked what an `async def` is asked, and answers as that does."""

import asyncio
import collections.abc
import gc
import inspect
import io
import sys
import threading
import types
import warnings

import pytest


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


def test_next_makes_a_step(run, rust):
    """Where it differs: an `async def` has no `__next__`, by which tasks make the steps of this one."""

    done = rust.eager_turns(0, "value")

    async def step():
        with pytest.raises(StopIteration) as caught:
            next(done)
        gate = rust.Gate()
        coroutine = gate.coroutine()
        assert next(coroutine) is coroutine.cr_await
        coroutine.close()
        gate.wait_until_dropped()
        return caught.value.value

    assert run(step()) == "value"


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


def test_a_step_that_panics_ends_it_and_is_told_to_its_awaiter_alone(run, rust, capfd):
    async def main():
        coroutine = rust.refused()
        with pytest.raises(BaseException, match="no more tasks"):
            await coroutine
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine
        # The drain hears of the task that the runtime dropped.
        await rust.turns(1, None)

    run(main())
    assert "no more tasks" in capfd.readouterr().err


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

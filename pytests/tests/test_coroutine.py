"""A Rust coroutine answers every question as an `async def` does."""

import asyncio
import collections.abc
import gc
import inspect
import io
import subprocess
import sys
import threading
import types
import warnings
import weakref

import pytest


def test_a_coroutine_does_not_run_before_it_is_awaited(run, rust):
    async def main():
        calls = []
        gate, calling = rust.Gate(), rust.lazy_call(lambda: calls.append("called"))
        coroutine = gate.coroutine()
        # A future that was started later has finished by now.
        await rust.turns(10, None)
        assert gate.polls == 0 and calls == []
        await calling
        assert calls == ["called"]
        coroutine.close()
        gate.wait_until_dropped()
        assert gate.polls == 0

    run(main())


def test_a_coroutine_that_has_its_value_needs_no_loop(rust):
    coroutine = rust.ready("value")
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED and coroutine.__qualname__ == "ready"
    with pytest.raises(StopIteration, match="value"):
        coroutine.send(None)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)


def test_a_coroutine_that_has_its_value_is_awaited_once_or_warns_and_drops_it(rust):
    class Value:
        pass

    value = Value()
    dropped = weakref.ref(value)
    with pytest.warns(RuntimeWarning, match="^coroutine 'ready' was never awaited"):
        rust.ready(value)
    del value
    assert dropped() is None


def test_a_step_without_a_running_loop_raises_and_closes_the_coroutine(rust):
    coroutine = rust.lazy_turns(0, None)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_a_coroutine_has_only_the_interface_of_a_coroutine(rust):
    coroutine = rust.lazy_turns(0, None)
    assert isinstance(coroutine, collections.abc.Coroutine) and inspect.isawaitable(coroutine)
    assert asyncio.iscoroutine(coroutine) and not asyncio.isfuture(coroutine)
    # `inspect.iscoroutine` asks for `__class__`, which the coroutine claims. Its type is another.
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


@pytest.mark.two_threads
def test_next_steps_the_coroutine(run, rust):
    """This differs from an `async def`, which has no `__next__`. Tasks step a Rust coroutine with it."""

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


def test_a_coroutine_has_the_name_of_its_function_and_can_be_renamed(rust):
    coroutine = rust.lazy_turns(0, None)
    assert (coroutine.__name__, coroutine.__qualname__) == ("lazy_turns", "lazy_turns")

    class Name(str):
        def __str__(self):
            # `repr` calls this, and this reads the coroutine again.
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


def test_repr_and_frame_follow_the_state(run, rust):
    async def main():
        gate = rust.Gate()
        coroutine = gate.coroutine()
        assert " created at " in repr(coroutine)
        # `inspect.getcoroutinestate` asks for `cr_state` since Python 3.15.
        assert inspect.getcoroutinestate(coroutine) == coroutine.cr_state == inspect.CORO_CREATED
        frame = coroutine.cr_frame
        assert frame.f_lasti == -1 and frame.f_back is None
        assert frame.f_code.co_filename.endswith(".rs") and frame.f_lineno == coroutine.cr_code.co_firstlineno > 0
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        assert " suspended at " in repr(coroutine)
        assert inspect.getcoroutinestate(coroutine) == coroutine.cr_state == inspect.CORO_SUSPENDED
        assert coroutine.cr_frame.f_lasti >= 0
        assert asyncio.isfuture(coroutine.cr_await)
        gate.open(None)
        await task
        assert " finished at " in repr(coroutine)
        assert inspect.getcoroutinestate(coroutine) == coroutine.cr_state == inspect.CORO_CLOSED
        assert coroutine.cr_frame is None and coroutine.cr_await is None

    run(main())


def test_the_task_shows_the_rust_source_location(run, rust):
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


if sys.version_info >= (3, 14):

    def test_the_call_graph_names_the_coroutine(run, rust):
        async def waits(task):
            await task

        async def main():
            gate = rust.Gate()
            task = asyncio.create_task(gate.coroutine(), name="of Rust")
            waiter = asyncio.create_task(waits(task), name="of Python")
            await asyncio.sleep(0)
            graph = asyncio.format_call_graph(task)
            assert graph.startswith("* Task(name='of Rust', id=0x")
            assert "gate.rs', line" in graph and "in async rust_future()" in graph
            assert "+ Awaited by:\n    * Task(name='of Python', id=0x" in graph and ".waits()" in graph
            assert asyncio.capture_call_graph(task).call_stack[0].frame.f_generator is task.get_coro()
            printed = io.StringIO()
            asyncio.print_call_graph(task, file=printed)
            assert printed.getvalue() == graph + "\n"
            gate.open(None)
            await waiter

        run(main())


# Elsewhere only root reads the memory of another process.
if sys.version_info >= (3, 14) and sys.platform == "linux":
    WAITS = """
import asyncio, sys
import pyo3_asyncio_pytests as rust

async def around(coroutine):
    await coroutine

async def main():
    gates = [rust.Gate() for _ in range(2)]
    tasks = [
        asyncio.create_task(gates[0].coroutine(), name="of_rust"),
        asyncio.create_task(around(gates[1].coroutine()), name="of_python"),
    ]
    await asyncio.sleep(0)
    print("waiting", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for gate in gates:
        gate.open(None)
    await asyncio.gather(*tasks)

asyncio.run(main())
"""
    # Linux may allow only a parent to look. The program becomes the command that looks, and remains the parent.
    LOOKS = """
import os, subprocess, sys
program, command = sys.argv[1:]
waits = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
waits.stdout.readline()
# The other end of this pipe closes when the command ends.
os.set_inheritable(waits.stdin.fileno(), True)
os.execv(sys.executable, [sys.executable, "-m", "asyncio", command, str(waits.pid)])
"""

    @pytest.mark.parametrize("command", ["ps", "pstree"])
    def test_asyncio_shows_the_tasks_of_another_process(command):
        looks = [sys.executable, "-c", LOOKS, WAITS, command]
        shown = subprocess.run(looks, capture_output=True, text=True, timeout=60)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "of_rust" in shown.stdout and "of_python" in shown.stdout and "around" in shown.stdout


def test_a_coroutine_that_is_never_awaited_warns(rust):
    gate = rust.Gate()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gate.coroutine()
        gc.collect()
    assert [(it.category, str(it.message).splitlines()[0]) for it in caught] == [
        (RuntimeWarning, "coroutine 'rust_future' was never awaited")
    ]
    assert caught[0].filename == __file__
    gate.wait_until_dropped()
    assert gate.polls == 0


def test_the_never_awaited_warning_is_unraisable_when_warnings_are_errors(rust, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append(it.exc_value))
    gate = rust.Gate()
    with pytest.raises(LookupError):
        try:
            raise LookupError("under way")
        finally:
            gate.coroutine()
    gate.wait_until_dropped()
    assert [(type(it), str(it).splitlines()[0]) for it in unraisable] == [
        (RuntimeWarning, "coroutine 'rust_future' was never awaited")
    ]


@pytest.mark.parametrize("end", ["close", "throw"])
def test_ending_an_unstarted_coroutine_does_not_warn(rust, end):
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


def test_rust_closes_an_unstarted_coroutine_that_it_drops(run, rust):
    async def main():
        gate = rust.Gate()
        rust.into_future(gate.coroutine()).drop()
        await rust.turns(1, None)
        gate.wait_until_dropped()
        assert gate.polls == 0

    run(main())


def test_a_coroutine_can_be_awaited_only_once(run, rust):
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


def test_the_first_poll_cannot_step_its_own_coroutine(loop, rust):
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


def test_only_one_of_eight_threads_steps_the_coroutine(new_loop, rust):
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


def test_a_panic_in_a_step_closes_the_coroutine_and_reaches_only_its_awaiter(run, rust, capfd):
    async def main():
        coroutine = rust.refused()
        with pytest.raises(BaseException, match="no more tasks"):
            await coroutine
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine
        # The drain learns of the dropped task.
        await rust.turns(1, None)

    run(main())
    assert "no more tasks" in capfd.readouterr().err


@pytest.mark.parametrize("end", ["close", "drop"])
def test_a_panic_in_the_drop_of_the_future_is_only_printed(rust, capfd, end):
    live = rust.made() - rust.dropped()
    coroutine = rust.panics_when_dropped()
    if end == "close":
        coroutine.close()
    else:
        with pytest.warns(RuntimeWarning, match="never awaited"):
            del coroutine
    rust.wait_until_live(live)
    assert "panicked at" in capfd.readouterr().err

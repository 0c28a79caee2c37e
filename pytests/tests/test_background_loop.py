"""`block_on` of a future that needs an event loop: Python callbacks run on a background loop."""

import asyncio
import contextvars
import os
import sys
import textwrap
import threading
import traceback

import pytest
from conftest import BACKGROUND_LOOPS
from test_processes import START, finished

THREAD = "pyo3-asyncio-background"


async def whereabouts():
    await asyncio.sleep(0)
    return asyncio.get_running_loop(), threading.current_thread()


def called_inside(run, function, *arguments):
    """Calls a function in a coroutine, whose loop it blocks."""

    async def main():
        return function(*arguments)

    return run(main())


def test_a_synchronous_function_awaits_a_callback_inside_of_a_running_loop_and_without_one(exported, run):
    """https://github.com/everruns/bashkit/pull/1336, https://github.com/rigetti/rigetti-pyo3/issues/69,
    https://github.com/lancedb/lancedb/issues/667"""
    loop, thread = exported.call_back_now(whereabouts)
    assert thread.name == THREAD
    assert thread.daemon
    assert threading._active[thread.ident] is thread
    # All callbacks share one loop, so they can share its locks and clients.
    assert called_inside(run, exported.call_back_now, whereabouts) == (loop, thread)
    assert exported.call_back_now(whereabouts) == (loop, thread)


def test_the_rust_future_knows_the_background_loop_and_the_context_of_the_caller(exported, run):
    variable = contextvars.ContextVar("variable")
    loop, _ = exported.call_back_now(whereabouts)

    def call(value):
        variable.set(value)
        return exported.surroundings_now(variable)

    assert contextvars.copy_context().run(call, "outside") == (loop, "outside")
    assert contextvars.copy_context().run(called_inside, run, call, "inside") == (loop, "inside")


def test_a_callback_runs_in_a_copy_of_the_context_of_the_caller(exported):
    variable = contextvars.ContextVar("variable", default="unset")

    async def change():
        before = variable.get()
        variable.set("changed")
        return before

    def call(value):
        variable.set(value)
        return exported.call_back_now(change), exported.call_back_now(change), variable.get()

    assert contextvars.copy_context().run(call, "mine") == ("mine", "mine", "mine")
    # A call inside of a call copies anew.
    assert exported.call_back_now(change) == "unset"


def test_a_nested_call_copies_its_own_context(exported, rust):
    variable = contextvars.ContextVar("variable", default="unset")

    async def get():
        return variable.get()

    def inner(value):
        variable.set(value)
        return exported.call_back_now(get)

    def outer():
        return exported.call_back_now(get), contextvars.copy_context().run(inner, "inner"), exported.call_back_now(get)

    assert rust.block_on_call(outer) == ("unset", "inner", "unset")


def test_a_callback_may_call_a_synchronous_function_at_any_depth(exported, run):
    async def callback(depth):
        here = [await whereabouts()]
        return here + (exported.call_back_now(lambda: callback(depth - 1)) if depth else [])

    places = called_inside(run, exported.call_back_now, lambda: callback(BACKGROUND_LOOPS - 1))
    # A blocked loop cannot run the callback, so each level has a loop of its own.
    assert len(set(places)) == BACKGROUND_LOOPS
    # They are used again.
    assert exported.call_back_now(lambda: callback(BACKGROUND_LOOPS - 1)) == places


def test_a_generator_that_block_on_drives_may_call_a_synchronous_function_at_any_depth(exported, rust, run):
    """https://github.com/lancedb/lancedb/issues/2267"""

    async def callback(value):
        await asyncio.sleep(0)
        return value

    def rows(depth):
        for number in exported.countdown_now(3):
            if depth:
                yield from rust.block_on_call(lambda: list(rows(depth - 1)))
            yield exported.call_back_now(lambda: callback(number))

    def expected(depth):
        return [it for number in (2, 1, 0) for it in [*(expected(depth - 1) if depth else []), number]]

    for call in rust.block_on_call, lambda function: called_inside(run, rust.block_on_call, function):
        assert call(lambda: list(rows(3))) == expected(3)


def test_a_callback_that_blocks_its_loop_does_not_keep_other_threads_waiting(exported):
    is_blocked, is_over = threading.Event(), threading.Event()

    async def until_over():
        is_blocked.set()
        while not is_over.is_set():
            await asyncio.sleep(0)

    async def blocking():
        exported.call_back_now(until_over)
        return asyncio.get_running_loop()

    blocked = []
    thread = threading.Thread(target=lambda: blocked.append(exported.call_back_now(blocking)))
    thread.start()
    is_blocked.wait()
    loop, _ = exported.call_back_now(whereabouts)
    is_over.set()
    thread.join()
    assert blocked != [loop]


def test_many_threads_share_the_background_loop(exported):
    places, together = [], threading.Barrier(20)

    def call():
        together.wait()
        places.append(exported.call_back_now(whereabouts))

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 1


def test_an_error_of_a_callback_is_raised_by_the_function(exported):
    async def fail():
        await asyncio.sleep(0)
        raise KeyError("the very one")

    with pytest.raises(KeyError, match="the very one") as raised:
        exported.call_back_now(fail)
    assert "fail" in [frame.name for frame in traceback.extract_tb(raised.tb)]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_ends_the_program_ends_the_function_and_not_the_background_loop(exported, error):
    async def end():
        await asyncio.sleep(0)
        raise error("the very one")

    before = exported.call_back_now(whereabouts)
    with pytest.raises(error, match="the very one"):
        exported.call_back_now(end)
    assert exported.call_back_now(whereabouts) == before


def test_a_background_loop_that_a_callback_stops_is_replaced(exported, complaints):
    async def stop():
        asyncio.get_running_loop().stop()
        return await whereabouts()

    loop, thread = exported.call_back_now(stop)
    thread.join()
    assert loop.is_closed()
    assert exported.call_back_now(whereabouts)[0] is not loop


def test_a_callback_can_start_a_process(exported):
    async def echo():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('hello')", stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return out.split(), process.returncode

    assert exported.call_back_now(echo) == ([b"hello"], 0)


def test_a_task_that_block_on_starts_with_the_loop_of_its_caller_waits_for_it(run, rust):
    async def main():
        # The locals of this call are those of the running loop, which block_on blocks.
        task = rust.into_future(asyncio.sleep(0, "later")).wait()
        assert rust.block_on_turns(100, "now") == "now"
        return await task

    assert run(main()) == "later"


PRELUDE = """
import asyncio, os, signal, threading, time, warnings
import pyo3_asyncio_pytests as rust

warnings.simplefilter("ignore", DeprecationWarning)
if {kind!r} == "uvloop":
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

exported = getattr(rust, os.environ.get("PYTESTS_RUNTIME", "tokio").replace("_current_thread", ""))

async def whereabouts():
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop()).__module__.split(".")[0], threading.current_thread().name

async def nested(depth):
    return exported.call_back_now(lambda: nested(depth - 1)) if depth else await whereabouts()
"""


def output_of(body, kind):
    ended = finished(PRELUDE.format(kind=kind) + textwrap.dedent(body))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("kind", START)
def test_the_policy_of_asyncio_chooses_the_background_loop(kind):
    body = """
    print(*exported.call_back_now(lambda: nested(3)))
    """
    assert output_of(body, kind) == [f"{kind} {THREAD}"]


@pytest.mark.parametrize("kind", START)
def test_a_thread_of_a_callback_does_not_wait_for_a_blocked_loop(kind):
    body = """
    async def in_thread():
        # The first loop is blocked until this returns.
        return await asyncio.get_running_loop().run_in_executor(None, exported.call_back_now, whereabouts)

    async def blocking():
        return exported.call_back_now(in_thread)

    print(*exported.call_back_now(blocking))
    """
    assert output_of(body, kind) == [f"{kind} {THREAD}"]


@pytest.mark.parametrize("kind", START)
def test_a_program_ends_silently_and_cleans_up_with_callbacks_in_flight(kind):
    body = """
    async def waits_for_ever():
        waits.set()
        await asyncio.Event().wait()

    async def cleans_up():
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            assert await rust.turns(3, "turns") == "turns"
            # One call of the system, because two threads do it.
            os.write(1, b"cleaned up\\n")

    async def start():
        kept.append(asyncio.ensure_future(cleans_up()))

    async def blocks():
        exported.call_back_now(start)

    waits, started, kept = threading.Event(), threading.Event(), []
    exported.call_back_now(start)
    exported.call_back_now(blocks)
    started.wait()
    threading.Thread(target=exported.call_back_now, args=(waits_for_ever,), daemon=True).start()
    waits.wait()
    """
    # They have a tenth of a second, which a busy machine may take for itself.
    assert ["cleaned up"] * 2 in (output_of(body, kind) for _ in range(10))


@pytest.mark.parametrize("kind", START)
def test_a_thread_that_needs_a_loop_while_the_process_ends_rests(kind):
    body = """
    async def delays_the_end():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            while True:  # The end takes a tenth of a second.
                await asyncio.sleep(0)

    async def too_late():
        os.write(1, b"called\\n")

    def needs_a_loop():
        ending.wait()
        exported.call_back_now(too_late)

    started, ending = threading.Event(), threading.Event()
    threading.Thread(target=exported.call_back_now, args=(delays_the_end,), daemon=True).start()
    started.wait()
    threading.Thread(target=needs_a_loop, daemon=True).start()
    """
    assert output_of(body, kind) == []


@pytest.mark.parametrize("kind", START)
def test_a_callback_of_atexit_may_use_a_background_loop(kind):
    body = """
    import atexit
    # Called after the callbacks that Rust registers.
    atexit.register(lambda: print(*exported.call_back_now(whereabouts)))
    exported.call_back_now(whereabouts)
    """
    assert output_of(body, kind) == [f"{kind} {THREAD}"]


@pytest.mark.parametrize("kind", START)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_cancels_the_callback_and_ends_the_function(kind):
    body = """
    async def callback():
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await rust.turns(3, None)
            cancelled.set()
            raise

    cancelled = threading.Event()
    try:
        exported.call_back_now(callback)
    except KeyboardInterrupt:
        cancelled.wait()
        print("interrupted")
    print(*exported.call_back_now(whereabouts))
    """
    assert output_of(body, kind) == ["interrupted", f"{kind} {THREAD}"]


@pytest.mark.parametrize("kind", START)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_drops_the_stream_of_a_generator(kind):
    body = """
    gate = rust.Gate()
    generator = exported.Shared("name").some_letters_now(gate)

    def interrupt():
        while not gate.polls:
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        next(generator)
    except KeyboardInterrupt:
        print("interrupted", rust.made() - rust.dropped(), list(generator))
    """
    assert output_of(body, kind) == ["interrupted 0 []"]

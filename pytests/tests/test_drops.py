"""A value of the user is dropped inside the runtime's context and detached, wherever it is and whatever ends it.

All of this is about https://github.com/hardbyte/awa/pull/486: a connection starts a task when it goes back to its pool.
"""

import asyncio
import gc
import threading

import pytest
from conftest import eventually
from test_processes import finished, program

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


def check(drops, count=1, *, may_be_attached=False):
    """Whether so many values were dropped, each in the runtime's context and detached."""
    assert eventually(lambda: len(drops.seen) >= count), f"{len(drops.seen)} of {count} dropped"
    expected = {(True, False), (True, True)} if may_be_attached else {(True, False)}
    assert set(drops.seen) <= expected
    assert len(drops.seen) == count


def holding(kind):
    return lambda rust, drops, gate: rust.holding(kind, drops, gate)


# What waits for its first step.
UNSTARTED = {
    "coroutine": holding("coroutine"),
    "eager coroutine": holding("eager coroutine"),
    "local coroutine": holding("local coroutine"),
    "coroutine with a handle": holding("coroutine with a handle"),
    "local coroutine with a handle": holding("local coroutine with a handle"),
    "function": lambda rust, drops, gate: rust.exported_holding(drops, gate),
    "method that borrows": lambda rust, drops, gate: rust.Holder().shared(drops, gate),
    "method that borrows mutably": lambda rust, drops, gate: rust.Holder().exclusive(drops, gate),
    "stream": holding("stream"),
    "local stream": holding("local stream"),
    "function that returns a stream": lambda rust, drops, gate: rust.exported_stream_holding(drops),
}
# This one has no loop.
BLOCKING = {"blocking stream": lambda rust, drops, gate: rust.exported_stream_holding_now(drops)}
STARTED = {
    "future": holding("future"),
    "eager future": holding("eager future"),
    "local future": holding("local future"),
    **UNSTARTED,
}
# The event loop polls these, attached, and drops them as it polls them.
ON_THE_LOOP = {it for it in STARTED if it.startswith(("local", "method"))}


def drop(holder):
    del holder[0]
    gc.collect()


def close(holder):
    if hasattr(holder[0], "close"):
        holder[0].close()
    else:
        with pytest.raises(StopIteration):
            holder[0].aclose().send(None)


def throw(holder):
    step = getattr(holder[0], "throw", None) or holder[0].athrow(KeyError).throw
    with pytest.raises(KeyError):
        step(KeyError)


def collect(holder):
    cycle = [holder.pop()]
    cycle.append(cycle)
    del cycle
    gc.collect()


def drop_in_a_thread(holder):
    thread = threading.Thread(target=drop, args=(holder,))
    thread.start()
    thread.join()


def start_without_a_loop(holder):
    step = getattr(holder[0], "send", None) or holder[0].__anext__().send
    with pytest.raises(RuntimeError, match="no running event loop"):
        step(None)


ENDS = [drop, close, throw, collect, drop_in_a_thread, start_without_a_loop]
# A local future is dropped on its thread or not at all. A stream without a loop stays for another try.
UNSTARTED_CASES = [
    pytest.param(kind, end, id=f"{kind}-{end.__name__}")
    for kind in [*UNSTARTED, *BLOCKING]
    for end in ENDS
    if not (kind.startswith("local") and end is drop_in_a_thread) and not ("stream" in kind and end is start_without_a_loop)
]


@pytest.mark.parametrize(("kind", "end"), UNSTARTED_CASES)
def test_what_never_started_is_dropped_in_the_runtime(rust, kind, end):
    drops = rust.Drops()
    end([{**UNSTARTED, **BLOCKING}[kind](rust, drops, rust.Gate())])
    check(drops)


async def start(rust, awaitable):
    """An asyncio future of the awaitable, or of the first item of an async generator, whose Rust future has been polled."""
    future = asyncio.ensure_future(awaitable.__anext__() if hasattr(awaitable, "__anext__") else awaitable)
    if isinstance(future, asyncio.Task):
        # asyncio would report a pending task that is collected.
        future._log_destroy_pending = False
    # The first step of the task. A drain may run many turns without it.
    await asyncio.sleep(0)
    for _ in range(3):
        await rust.turns(1, None)
    return future


def cancel(rust, gate, future):
    future.cancel()


def panic(rust, gate, future):
    gate.panic("expected")


def succeed(rust, gate, future):
    gate.open(None)


def stop_the_runtime(rust, gate, future):
    assert rust.shutdown(30)


RUNNING_ENDS = [cancel, panic, succeed, stop_the_runtime]
RUNNING_CASES = [
    pytest.param(kind, end, id=f"{kind}-{end.__name__}")
    for kind in STARTED
    for end in RUNNING_ENDS
    # Nothing ends that stream but a cancellation, and no runtime has what the loop polls.
    if not (kind == "function that returns a stream" and end in (panic, succeed))
    and not (kind in ON_THE_LOOP and end is stop_the_runtime)
]


@pytest.mark.two_threads
@pytest.mark.parametrize(("kind", "end"), RUNNING_CASES)
def test_what_runs_is_dropped_in_the_runtime(run, rust, capfd, kind, end):
    async def main():
        gate = rust.Gate()
        future = await start(rust, STARTED[kind](rust, drops, gate))
        end(rust, gate, future)
        await asyncio.wait([future])
        future.cancelled() or future.exception()

    drops = rust.Drops()
    run(main())
    check(drops, may_be_attached=kind in ON_THE_LOOP)
    # For the next test.
    rust.workers()
    assert ("expected" in capfd.readouterr().err) == (end is panic)


@pytest.mark.parametrize("kind", STARTED)
def test_the_end_of_a_loop_drops_in_the_runtime(loop, run, rust, kind):
    drops = rust.Drops()

    async def main():
        return await start(rust, STARTED[kind](rust, drops, rust.Gate()))

    future = run(main())
    loop.close()
    del future
    gc.collect()
    check(drops, may_be_attached=kind in ON_THE_LOOP)


@pytest.mark.parametrize("kind", ["future", "eager future"])
def test_a_future_that_a_closed_loop_refuses_is_dropped_in_the_runtime(loop, rust, kind):
    loop.close()
    drops = rust.Drops()
    with pytest.raises(rust.LoopClosed):
        rust.holding(kind, drops, rust.Gate(), event_loop=loop)
    check(drops)


@pytest.mark.two_threads
@pytest.mark.parametrize("end", ["cancelled", "loop closed"])
@pytest.mark.parametrize("kind", ["future", "eager future", "coroutine", "stream"])
def test_an_output_that_nobody_takes_is_dropped_in_the_runtime(loop, run, rust, kind, end):
    drops, gate = rust.Drops(), rust.Gate()

    async def main():
        future = await start(rust, rust.holding(kind, drops, gate, gives=True))
        if end == "cancelled":
            gate.open(None)
            gate.wait_until_dropped()
            future.cancel()
            await asyncio.wait([future])
        return future

    future = run(main())
    if end == "loop closed":
        gate.open(None)
        gate.wait_until_dropped()
    loop.close()
    del future
    check(drops)


def test_an_item_after_one_that_does_not_convert_is_dropped_in_the_runtime(run, rust):
    async def main():
        with pytest.raises(RuntimeError, match="expected"):
            await rust.stream_that_does_not_convert(drops).__anext__()

    drops = rust.Drops()
    run(main())
    check(drops)


UNCALLED = ["call_soon", "run_coroutine", "run_async_generator", "unpolled stream", "and_then"]


# An attached thread that drops the handle may drop the function with it.
ATTACHED = {"unpolled stream", "and_then"}


@pytest.mark.parametrize("kind", UNCALLED)
def test_a_function_that_is_given_up_is_dropped_in_the_runtime(loop, run, rust, kind):
    async def main():
        rust.post(kind, drops, loop).drop()
        for _ in range(3):
            await rust.turns(1, None)

    drops = rust.Drops()
    run(main())
    check(drops, may_be_attached=kind in ATTACHED)


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("kind", UNCALLED)
def test_a_function_on_a_loop_that_closes_is_dropped_in_the_runtime(loop, run, rust, kind, is_used):
    async def use():
        await rust.turns(1, None)

    if is_used:
        run(use())
    drops = rust.Drops()
    held = rust.post(kind, drops, loop)
    loop.close()
    if kind == "unpolled stream":
        held.drop()
    check(drops, may_be_attached=kind in ATTACHED)


@pytest.mark.parametrize("kind", ["call_soon", "run_coroutine", "run_async_generator", "unpolled stream"])
def test_a_function_that_a_closed_loop_refuses_is_dropped_in_the_runtime(loop, rust, kind):
    loop.close()
    drops = rust.Drops()
    rust.post(kind, drops, loop)
    check(drops, may_be_attached=True)


def test_a_conversion_of_a_task_that_fails_is_dropped_in_the_runtime(loop, run, rust, complaints):
    async def main():
        held = rust.post("and_then of a failure", drops, loop)
        for _ in range(3):
            await rust.turns(1, None)
        check(drops)
        held.drop()
        await rust.turns(1, None)

    drops = rust.Drops()
    run(main())
    assert [str(complaint["exception"]) for complaint in complaints] == ["expected"]
    complaints.clear()


@pytest.mark.parametrize("kind", ["output of call_soon", "output of and_then"])
def test_an_output_of_the_loop_that_nobody_takes_is_dropped_in_the_runtime(loop, run, rust, kind):
    async def main():
        held = rust.post(kind, drops, loop)
        for _ in range(5):
            await rust.turns(1, None)
        assert drops.seen == []
        held.drop()

    drops = rust.Drops()
    run(main())
    check(drops, may_be_attached=True)


def test_items_of_python_that_nobody_takes_are_dropped_in_the_runtime(run, rust):
    async def items():
        for number in range(3):
            yield number

    async def main():
        held = rust.stream_of_probes(items(), drops)
        for _ in range(3):
            await rust.turns(1, None)
            await asyncio.sleep(0)
        held.drop()
        await asyncio.sleep(0)

    drops = rust.Drops()
    run(main())
    # The conversion holds one too.
    check(drops, 4, may_be_attached=True)


def test_the_future_of_a_refused_run_is_dropped_in_the_runtime(run, rust):
    async def main():
        with pytest.raises(RuntimeError, match="already runs"):
            rust.run_probe(drops)

    drops = rust.Drops()
    run(main())
    check(drops)


def test_an_output_that_block_on_does_not_return_is_dropped_in_the_runtime(rust, capfd):
    drops = rust.Drops()
    with pytest.raises(rust.RustPanic, match="expected"):
        rust.block_on_probe(drops)
    check(drops)
    assert "expected" in capfd.readouterr().err


LEFT = """
    import warnings
    warnings.simplefilter("ignore")
    drops = rust.Drops(prints=True)
    kept = [rust.holding(kind, drops, rust.Gate()) for kind in ("coroutine", "local coroutine", "stream")]
    async def main():
        {work}
"""


@pytest.mark.parametrize("work", ["pass", "await rust.nap(0)"], ids=["runtime unused", "runtime used"])
def test_what_is_left_at_the_end_of_a_process_is_dropped_in_the_runtime(work):
    process = finished(program(LEFT.format(work=work), "asyncio"))
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == "dropped: runtime true, attached false\n" * 3

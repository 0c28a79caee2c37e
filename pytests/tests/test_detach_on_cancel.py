"""With `detach_on_cancel`, a Rust future goes on to its end though Python has cancelled it.

A commit that is dropped between its write and its read leaves a shared connection out of step:
https://github.com/microsoft/mssql-rs/pull/206
"""

import asyncio
import time

import pytest
from conftest import eventually
from test_drops import check
from test_processes import finished, program


def holding(kind):
    return lambda rust, drops, gate: rust.holding(kind, drops, gate, detach_on_cancel=True)


ON_THE_LOOP = {
    "local future": holding("local future"),
    "local coroutine": holding("local coroutine"),
    "method that borrows": lambda rust, drops, gate: rust.Holder().detached(drops, gate),
}
KINDS = {
    "future": holding("future"),
    "eager future": holding("eager future"),
    "coroutine": holding("coroutine"),
    "eager coroutine": holding("eager coroutine"),
    "function": lambda rust, drops, gate: rust.detached_holding(drops, gate),
    **ON_THE_LOOP,
}


async def cancelled(rust, awaitable):
    """Starts the awaitable, cancels it, and waits for that."""
    before = rust.metrics()["detached_futures"]
    future = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    await rust.turns(1, None)
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await future
    assert rust.metrics()["detached_futures"] == before + 1


async def start_and_cancel(rust, kind, drops, gate):
    await cancelled(rust, KINDS[kind](rust, drops, gate))


async def ended(rust):
    """Waits until no future goes on."""
    while rust.metrics()["detached_futures"]:
        await asyncio.sleep(0.001)
    # The report of an error may be on its way.
    await rust.turns(1, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_future_goes_on_to_its_end(run, rust, kind):
    async def main():
        await cancelled(rust, KINDS[kind](rust, drops, gate))
        assert drops.seen == []
        assert gate.open(None)
        await ended(rust)

    drops, gate = rust.Drops(), rust.Gate()
    run(main())
    check(drops, may_be_attached=kind in ON_THE_LOOP)


@pytest.mark.two_threads
def test_the_output_of_a_cancelled_future_is_dropped_in_the_runtime(run, rust):
    async def main():
        await cancelled(rust, rust.holding("future", drops, gate, gives=True, detach_on_cancel=True))
        gate.open(None)
        await ended(rust)

    drops, gate = rust.Drops(), rust.Gate()
    run(main())
    check(drops)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_that_comes_later_goes_to_the_loops_handler(run, rust, complaints, kind):
    async def main():
        await cancelled(rust, KINDS[kind](rust, rust.Drops(), gate))
        gate.fail(ValueError("expected"))
        await ended(rust)

    gate = rust.Gate()
    run(main())
    (complaint,) = complaints
    assert "after its Python future was cancelled" in complaint["message"]
    assert str(complaint["exception"]) == "expected"
    complaints.clear()


def test_a_panic_that_comes_later_goes_to_the_loops_handler(run, rust, complaints, capfd):
    async def main():
        await cancelled(rust, rust.detached_holding(rust.Drops(), gate))
        gate.panic("expected")
        await ended(rust)

    gate = rust.Gate()
    run(main())
    (complaint,) = complaints
    assert isinstance(complaint["exception"], rust.RustPanic)
    assert "expected" in capfd.readouterr().err
    complaints.clear()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "future" not in kind])
def test_a_coroutine_that_is_closed_goes_on_once_it_has_started(run, rust, kind):
    async def main():
        coroutine = KINDS[kind](rust, drops, gate)
        coroutine.send(None)
        coroutine.close()
        assert gate.open(None)
        await ended(rust)

    drops, gate = rust.Drops(), rust.Gate()
    run(main())
    check(drops, may_be_attached=kind in ON_THE_LOOP)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "future" not in kind])
def test_a_coroutine_that_has_not_started_is_dropped(run, rust, kind):
    drops, gate = rust.Drops(), rust.Gate()
    KINDS[kind](rust, drops, gate).close()
    check(drops)


def test_a_method_that_goes_on_keeps_its_borrow(run, rust):
    async def main():
        holder = rust.Holder()
        await cancelled(rust, holder.detached(rust.Drops(), gate))
        with pytest.raises(RuntimeError, match="await that one first"):
            holder.exclusive(rust.Drops(), rust.Gate())
        gate.open(None)
        await ended(rust)
        holder.exclusive(rust.Drops(), rust.Gate()).close()

    gate = rust.Gate()
    run(main())


@pytest.mark.two_threads
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ON_THE_LOOP])
def test_a_loop_that_closes_leaves_it_running(loop, run, rust, kind):
    drops, gate = rust.Drops(), rust.Gate()
    run(start_and_cancel(rust, kind, drops, gate))
    loop.close()
    assert gate.open(None)
    check(drops)
    assert eventually(lambda: rust.metrics()["detached_futures"] == 0)


@pytest.mark.parametrize("kind", ON_THE_LOOP)
def test_a_loop_that_closes_drops_what_it_polls(loop, run, rust, kind):
    drops, gate = rust.Drops(), rust.Gate()
    run(start_and_cancel(rust, kind, drops, gate))
    loop.close()
    check(drops, may_be_attached=True)
    assert rust.metrics()["detached_futures"] == 0


def test_an_async_generator_cannot_detach(rust):
    drops = rust.Drops()
    with pytest.raises(RuntimeError, match="nobody is left to take the items"):
        rust.holding("stream", drops, rust.Gate(), detach_on_cancel=True)
    check(drops)


CANCELS = """
    async def main():
        task = asyncio.ensure_future(rust.detached_nap({seconds}))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
"""


@pytest.mark.parametrize(("seconds", "printed"), [(0.5, "slept\n"), (3600, "")], ids=["soon", "never"])
def test_the_end_of_the_process_waits_for_a_bounded_time(seconds, printed):
    started = time.monotonic()
    process = finished(program(CANCELS.format(seconds=seconds), "asyncio"))
    assert (process.returncode, process.stderr, process.stdout) == (0, "", printed)
    assert seconds == 0.5 or 5 <= time.monotonic() - started < 30

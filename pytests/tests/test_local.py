"""Local futures are not Send: the loop polls them on its own thread."""

import asyncio
import contextvars
import threading
import weakref

import pytest

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


class Held:
    """An object that a Rust future holds. It is freed with the future."""


def test_a_local_future_returns_its_value(run, rust):
    async def main():
        gate = rust.Gate()
        future = gate.wait_here()
        asyncio.get_running_loop().call_soon(gate.open, "value")
        assert asyncio.isfuture(future)
        return await future

    assert run(main()) == "value"


def test_a_runtime_timer_wakes_a_local_future_on_the_loops_thread(run, rust):
    async def main():
        return await rust.local_nap(0.001, threading.get_ident)

    assert run(main()) == (threading.get_ident(), threading.get_ident())


def test_a_local_future_sees_its_loop_and_the_context_of_its_caller(loop, run, rust):
    async def main():
        VARIABLE.set("of the caller")
        future = rust.local_nap(0.001, lambda: (rust.current_loop(), rust.current_context()))
        VARIABLE.set("later")
        return await future

    (loop_before, context_before), (loop_after, context_after) = run(main())
    assert loop_before is loop_after is loop
    assert context_before is context_after
    assert context_before[VARIABLE] == "of the caller"


def test_rust_can_await_a_local_future(run, rust):
    async def main():
        outcome = rust.Gate()
        task = rust.into_future(outcome.wait_here())
        outcome.open(threading.get_ident())
        return await task.wait()

    assert run(main()) == threading.get_ident()


def test_a_panic_of_a_local_future_is_raised_and_the_loop_continues(run, rust, capfd):
    async def main():
        gate = rust.Gate()
        future = gate.wait_here()
        gate.panic("on the loop's thread")
        with pytest.raises(rust.RustPanic, match="on the loop's thread"):
            await future
        assert await rust.turns(3, "the loop goes on") == "the loop goes on"

    run(main())
    # The panic hook prints this.
    assert "on the loop's thread" in capfd.readouterr().err


def test_cancelling_drops_a_local_future(run, rust):
    async def main():
        gate, held = rust.Gate(), Held()
        gone = weakref.ref(held)
        future = gate.wait_here(held)
        del held
        await asyncio.sleep(0)
        assert gone() is not None
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        while gone() is not None:
            await asyncio.sleep(0)
        assert not gate.open("nobody hears it")

    run(main())


def test_a_timeout_drops_a_local_future(run, rust):
    async def main():
        gate, held = rust.Gate(), Held()
        gone = weakref.ref(held)
        future = gate.wait_here(held)
        del held
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0)
        while gone() is not None:
            await asyncio.sleep(0)

    run(main())


def test_closing_the_loop_drops_a_local_future_and_its_contents(new_loop, rust):
    async def main(held):
        gate = rust.Gate()
        return gate, gate.wait_here(held)

    loop, held = new_loop(), Held()
    gone = weakref.ref(held)
    gate, future = loop.run_until_complete(main(held))
    del held
    assert gone() is not None
    loop.close()
    assert gone() is None
    assert not gate.open("nobody hears it")
    assert not future.done()


def test_a_local_future_is_refused_while_its_loop_does_not_run(loop, rust):
    with pytest.raises(RuntimeError, match="on the thread that runs the event loop"):
        rust.Gate().wait_here(event_loop=loop)


def test_a_thousand_local_futures_run_at_once(run, rust):
    async def main():
        gates = [rust.Gate() for _ in range(1000)]
        futures = [gate.wait_here() for gate in gates]
        for number, gate in enumerate(gates):
            gate.open(number)
        assert await asyncio.gather(*futures) == list(range(1000))

    run(main())


def test_closing_a_loop_while_timers_wake_its_local_futures_drops_them_all(new_loop, rust):
    """Threads of the runtime wake the futures before, while and after the loop closes."""
    for _ in range(100):
        live = rust.made() - rust.dropped()

        async def main():
            futures = [rust.local_nap(number / 200_000, int) for number in range(200)]
            await futures[40]
            return futures

        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        rust.wait_until_live(live)

"""What a coroutine of Rust runs in, what passes out of it, and when it is gone."""

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest


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


def test_no_call_soon_lies_between_the_drain_and_the_next_step(loop, run, rust, monkeypatch):
    calls, call_soon = [], loop.call_soon

    def counting(*args, **kwargs):
        calls.append(args)
        return call_soon(*args, **kwargs)

    async def main():
        await rust.lazy_turns(1, None)
        monkeypatch.setattr(loop, "call_soon", counting)
        await asyncio.sleep(0)
        assert len(calls) == 1
        for turns in range(100):
            assert await rust.lazy_turns(turns % 3, turns) == turns
        # In debug mode the loop times the wake-ups.
        assert len(calls) == 1 + (100 if loop.get_debug() else 0)

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


def test_a_cycle_through_what_the_rust_future_holds_lasts_until_the_coroutine_is_closed(rust):
    """The collector cannot look into a Rust future, as the documentation of `into_coroutine` says."""

    class Holder:
        pass

    holder = Holder()
    holder.coroutine = rust.lazy_turns(1, holder)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    gone().coroutine.close()
    gc.collect()
    assert gone() is None


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

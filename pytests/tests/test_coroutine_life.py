"""The context of a Rust coroutine, the interrupts that leave it, and its end."""

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest


def test_the_rust_future_sees_the_context_of_the_awaiting_task(loop, run, rust):
    var = contextvars.ContextVar("var", default="default")

    async def main():
        var.set("the creator's")
        coroutines = [rust.lazy_call(lambda: rust.current_context()[var]) for _ in range(3)]
        assert await coroutines[0] == "the creator's"

        async def waiter(value, coroutine):
            var.set(value)
            return await coroutine

        assert await asyncio.gather(waiter("one's", coroutines[1]), waiter("two's", coroutines[2])) == ["one's", "two's"]
        assert await rust.lazy_call(rust.current_loop) is loop

    run(main())


def test_awaiting_rust_keeps_the_current_task_and_its_context(run, rust):
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


def test_the_drain_steps_the_task_without_call_soon(loop, run, rust, monkeypatch):
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
        # In debug mode the loop times each wake-up, through `call_soon`.
        assert len(calls) == 1 + (100 if loop.get_debug() else 0)

    run(main())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["Rust", "the next step"])
def test_an_interrupt_leaves_the_loop_and_the_loop_can_run_again(loop, run, rust, kind, where):
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


@pytest.mark.two_threads
def test_a_coroutine_is_freed_with_its_last_reference(run, rust):
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
        # The last step of the task still refers to it.
        await asyncio.sleep(0)
        await rust.lazy_turns(1, None)
        return [reference() for reference in gone]

    gc.disable()
    try:
        assert run(main()) == [None] * 7
    finally:
        gc.enable()


@pytest.mark.parametrize("cancellable", [False, True])
def test_a_cycle_through_the_return_value_is_collected(run, rust, cancellable):
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


def test_a_cycle_through_the_rust_future_lasts_until_the_coroutine_is_closed(rust):
    """The collector cannot traverse a Rust future, as the documentation of `into_coroutine` says."""

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


def test_a_pending_task_is_collected_with_its_closed_loop(new_loop, rust, complaints):
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
    # The complaint refers to the task.
    assert [it["message"] for it in complaints] == ["Task was destroyed but it is pending!"]
    complaints.clear()
    gc.collect()
    assert task() is None and coroutine() is None
    gate.wait_until_dropped()


@pytest.mark.two_threads
@pytest.mark.parametrize("has_callback", [False, True])
def test_a_coroutine_can_be_dropped_on_another_thread(run, rust, has_callback):
    async def main():
        gate, heard = rust.Gate(), asyncio.Event()
        coroutines = [gate.coroutine()]
        future = coroutines[0].send(None)
        if has_callback:
            future.add_done_callback(lambda future: heard.set())
        thread = threading.Thread(target=coroutines.clear)
        thread.start()
        thread.join()
        gate.wait_until_dropped()
        assert future.cancelled()
        if has_callback:
            await heard.wait()

    run(main())

"""Eight threads use one event loop at once: they make and drop its futures, call its drain, and close it."""

import asyncio
import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import THREADS_AT_ONCE, begin_together


class Calls:
    """Counts the registered callbacks of futures and their calls."""

    def __init__(self):
        self.registered, self.made = [], []

    def register(self, future):
        # The callback refers to its future, which makes a cycle.
        cycle = [future]
        self.registered.append(None)
        future.add_done_callback(lambda future: self.made.append(cycle))

    async def all_made(self):
        while len(self.made) < len(self.registered):
            await asyncio.sleep(0.001)


def test_futures_made_and_dropped_by_eight_threads_call_their_callbacks(run, loop, at_once, rust):
    calls, gates = Calls(), []

    def work(chance):
        for _ in range(100):
            gate = rust.Gate()
            future = gate.wait(chance.choice([loop, None]))
            if chance.random() < 0.7:
                calls.register(future)
            gates.append(gate)
            del gate, future
            if chance.random() < 0.5:
                gates.pop(0).open(None)
            if chance.random() < 0.1:
                gc.collect()

    async def main():
        await at_once(work)
        # Dropping a gate opens it.
        gates.clear()
        await calls.all_made()

    run(main())
    assert len(calls.made) == len(calls.registered)


class Handed:
    """A Python coroutine that Rust awaits."""

    def __init__(self, rust, loop):
        self.value, self.go, self.tasks, self.completions, self.outcomes = object(), asyncio.Event(), [], [], []
        self.rust = rust.into_future(self.answer(), loop)

    async def answer(self):
        self.tasks.append(asyncio.current_task())
        await self.go.wait()
        return self.value


def blocks(handed):
    handed.outcomes.append(handed.rust.block())


def drops(handed):
    handed.rust.drop()
    handed.outcomes.append(None)


def detaches(handed):
    handed.rust.detach()
    handed.outcomes.append(None)


def test_a_python_task_used_by_eight_threads_has_one_outcome_in_rust(run, loop, at_once, rust):
    """Python code can also reach and call the callback of such a task."""
    handed = []

    def work(chance):
        for number in range(50):
            handed.append(Handed(rust, loop))
            one = chance.choice(handed)
            for task in one.tasks:
                one.completions += [it for it, _ in task._callbacks or []]
            loop.call_soon_threadsafe(one.go.set)
            for completion in one.completions:
                if one.tasks[0].done() and not one.tasks[0].cancelled():
                    completion(one.tasks[0])
            one = handed[chance.randrange(len(handed))]
            loop.call_soon_threadsafe(one.go.set)
            try:
                chance.choice([blocks, drops, detaches])(one)
            except RuntimeError as error:
                assert "the task has been used before" in str(error)

    async def main():
        await at_once(work)
        for one in handed:
            one.go.set()
            if one.outcomes == []:
                one.outcomes.append(await one.rust.wait())
            assert one.outcomes in ([one.value], [None])
        await asyncio.wait([task for one in handed for task in one.tasks])

    run(main())
    assert len(handed) == 50 * THREADS_AT_ONCE


def test_eight_threads_can_start_to_use_a_loop_at_once(new_loop, haste, rust):
    for _ in range(20):
        loop, calls = new_loop(), Calls()
        loop.call_soon = loop.call_soon_threadsafe

        async def main():
            await asyncio.gather(*map(asyncio.wrap_future, threads))
            await calls.all_made()

        with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
            threads = begin_together(pool, lambda number: calls.register(rust.Gate().wait(loop)))
            loop.run_until_complete(main())
        assert len(calls.made) == THREADS_AT_ONCE
        loop.close()


def test_no_job_is_lost_when_eight_threads_call_the_drain(run, at_once, rust):
    """Only the loop should call its drain, but the garbage collector lists it to any Python code."""
    calls, drains = Calls(), []

    def work(chance):
        for _ in range(100):
            gate = rust.Gate()
            calls.register(gate.wait())
            gate.open(None)
            chance.choice(drains)()

    async def main():
        # This installs the drain of the loop.
        await rust.turns(1, None)
        drains.extend(it for it in gc.get_objects() if type(it).__name__ == "Drain")
        await at_once(work)
        await calls.all_made()

    run(main())
    assert len(calls.made) == 100 * THREADS_AT_ONCE


def test_a_loop_can_close_while_eight_threads_use_it(new_loop, haste, rust):
    for _ in range(20):
        loop, calls = new_loop(), Calls()
        loop.call_soon = loop.call_soon_threadsafe
        loop.run_until_complete(rust.turns(1, None))
        # The collection of the loop calls this, if nothing closed the mailbox before.
        (gone,) = [it.__callback__ for it in weakref.getweakrefs(loop) if type(it.__callback__).__name__ == "LoopGone"]

        def use(number):
            for _ in range(20):
                gate = rust.Gate()
                try:
                    future = gate.wait(loop)
                    calls.register(future)
                    gate.open(None)
                    future.cancel()
                except RuntimeError as error:
                    assert "closed" in str(error)
                if loop.is_closed():
                    gone(None)

        with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
            threads = begin_together(pool, use)
            while not calls.registered and not all(thread.done() for thread in threads):
                time.sleep(0)
            loop.close()
            for thread in threads:
                thread.result()
        assert len(calls.made) <= len(calls.registered)
        with pytest.raises(rust.LoopClosed):
            rust.Gate().wait(loop)

"""Many awaits at once, from many threads, cancelled from both sides: each has one outcome, and nothing leaks."""

import asyncio
import gc
import math
import random
import sys
import threading
from collections import Counter

from conftest import end
from leftovers import descriptors, eventually, resident_bytes, threads


class Load:
    """Awaits in random ways, cancels some awaits at random, and counts the outcomes."""

    def __init__(self, rust, seed):
        self.rust, self.random = rust, random.Random(seed)
        self.outcomes = Counter()
        # How often each awaiter has ended, and how often each callback was called, by number.
        self.ends, self.calls, self.registered = Counter(), Counter(), []

    async def run(self, awaits, at_once):
        for start in range(0, awaits, at_once):
            numbers = range(start, min(start + at_once, awaits))
            tasks = [asyncio.ensure_future(self.one(number)) for number in numbers]
            for number, task in zip(numbers, tasks):
                task.add_done_callback(lambda task, number=number: self.ends.update([number]))
                if self.random.random() < 0.1:
                    self.cancel_later(task, self.random.randrange(6))
            await asyncio.wait(tasks)
            self.outcomes.update(map(self.outcome, tasks))
        # A future continues if its task was cancelled while it awaited something else. Its callback runs when the future ends.
        while sum(self.calls.values()) < len(self.registered):
            await asyncio.sleep(0)

    def cancel_later(self, task, turns):
        if turns == 0:
            task.cancel()
        else:
            asyncio.get_running_loop().call_soon(self.cancel_later, task, turns - 1)

    def check(self, awaits):
        kinds = {"value", "error", "cancelled", "given up"}
        # With few awaits it is a matter of chance whether Rust gives up any.
        assert kinds - ({"given up"} if awaits < 2000 else set()) <= set(self.outcomes) <= kinds, self.outcomes
        assert self.ends == Counter(range(awaits))
        assert self.calls == Counter(self.registered)

    async def one(self, number):
        return await self.random.choice(self.WAYS)(self, number)

    def outcome(self, task):
        if task.cancelled():
            return "cancelled"
        return repr(task.exception()) if task.exception() else task.result()

    def watched(self, future, number):
        self.registered.append(number)
        future.add_done_callback(lambda future: self.calls.update([number]))
        return future

    async def ready(self, number):
        assert await self.watched(self.rust.turns(0, number), number) == number
        return "value"

    async def later(self, number):
        assert await self.rust.turns(self.random.randrange(1, 5), number) == number
        return "value"

    async def gate(self, number):
        gate = self.rust.Gate()
        future = self.watched(gate.wait(), number)
        asyncio.get_running_loop().call_soon(gate.open, number)
        assert await future == number
        return "value"

    async def error(self, number):
        gate = self.rust.Gate()
        future = gate.wait()
        gate.fail(LookupError(number))
        try:
            await future
        except LookupError as error:
            assert error.args == (number,)
            return "error"

    async def cancelled_by_python(self, number):
        future = self.watched(self.rust.turns(self.random.randrange(5), number), number)
        for _ in range(self.random.randrange(3)):
            await asyncio.sleep(0)
        future.cancel()
        return "value" if await future == number else "wrong"

    async def cancelled_by_rust(self, number):
        gate = self.rust.Gate()
        future = self.watched(gate.wait(), number)
        gate.fail(asyncio.CancelledError())
        await future

    async def python(self, number):
        assert await self.rust.into_future(self.coroutine(number)).wait() == number
        return "value"

    async def python_that_rust_may_drop(self, number):
        result = await self.rust.await_for_turns(self.coroutine(number), self.random.randrange(30))
        assert result in (number, None)
        return "value" if result == number else "given up"

    async def nested(self, number):
        assert await self.rust.await_inside(lambda: self.rust.turns(1, number)) == number
        return "value"

    async def coroutine(self, number):
        await asyncio.sleep(0)
        return await self.rust.turns(1, number)

    WAYS = [
        ready,
        later,
        gate,
        error,
        cancelled_by_python,
        cancelled_by_rust,
        python,
        python_that_rust_may_drop,
        nested,
    ]


def test_a_hundred_thousand_awaits_with_random_cancels_have_one_outcome_each(run, rust, load):
    awaits = load(100_000)
    work = Load(rust, seed=1)
    run(work.run(awaits, 1000))
    work.check(awaits)


def run_eight_loops(new_loop, rust, awaits):
    """Runs eight loops in eight threads at once, each with its own load."""
    loads, failures = [Load(rust, seed) for seed in range(8)], []
    start = threading.Barrier(len(loads))

    def work(load):
        loop = new_loop()
        # In debug mode, the log of slow steps would count as memory that does not come back.
        loop.slow_callback_duration = math.inf
        try:
            start.wait()
            loop.run_until_complete(load.run(awaits, 200))
        except BaseException as failure:
            failures.append(failure)
        finally:
            end(loop)

    workers = [threading.Thread(target=work, args=(load,)) for load in loads]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert failures == []
    for load in loads:
        load.check(awaits)


def test_eight_loops_in_eight_threads_do_not_disturb_each_other(new_loop, rust):
    run_eight_loops(new_loop, rust, 2000)


def test_eight_threads_complete_ten_thousand_futures(run, rust):
    async def main():
        gates = [rust.Gate() for _ in range(10_000)]
        futures = [gate.wait() for gate in gates]

        def open_some(first):
            for number in range(first, len(gates), 8):
                gates[number].open(number)

        openers = [threading.Thread(target=open_some, args=(first,)) for first in range(8)]
        for opener in openers:
            opener.start()
        results = await asyncio.gather(*futures)
        for opener in openers:
            opener.join()
        return results

    assert run(main()) == list(range(10_000))


def test_rust_awaits_ten_thousand_coroutines_at_once(run, rust):
    async def main():
        async def coroutine(number):
            await asyncio.sleep(0)
            return number

        return await asyncio.gather(*(rust.into_future(coroutine(number)).wait() for number in range(10_000)))

    assert run(main()) == list(range(10_000))


def test_closing_loops_while_rust_completes_futures_leaks_nothing(new_loop, rust):
    """Another thread opens the gates before, while and after the loop of their futures closes."""
    gates, more = [], threading.Event()
    stop = False

    def open_all():
        while not stop or gates:
            more.wait()
            more.clear()
            while gates:
                gates.pop().open(None)

    opener = threading.Thread(target=open_all)
    opener.start()
    for number in range(200):

        async def main():
            mine = [rust.Gate() for _ in range(20)]
            futures = [gate.wait() for gate in mine]
            gates.extend(mine)
            more.set()
            await asyncio.wait(futures[: number % 20 + 1], return_when=asyncio.FIRST_COMPLETED)

        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
    stop = True
    more.set()
    opener.join()


def assert_leaks_nothing(rust, awaits, one_round, warm_up=3, fragments=0):
    """Asserts that rounds of so many awaits leak no memory, no descriptor and no thread."""
    rounds = 10

    def measure():
        rust.wait_until_live(live)
        gc.collect()
        return sys.getallocatedblocks(), resident_bytes()

    live = rust.made() - rust.dropped()
    # Fill the caches of both languages first.
    for seed in range(warm_up):
        one_round(seed)
    before = descriptors(), threads()
    blocks, resident = measure()
    for seed in range(rounds):
        one_round(seed)
    blocks_after, resident_after = measure()

    # A leak of one object for each await would exceed this a hundred times.
    assert blocks_after - blocks < awaits * rounds / 100
    assert resident_after - resident < awaits * rounds * 64 + fragments
    assert eventually(lambda: len(descriptors()) <= len(before[0]))
    assert eventually(lambda: threads() <= before[1])


def test_a_load_leaks_no_memory_descriptors_or_threads(run, rust, load):
    awaits = load(5000)

    async def load_one(seed):
        work = Load(rust, seed)
        await work.run(awaits, 500)
        work.check(awaits)

    assert_leaks_nothing(rust, awaits, lambda seed: run(load_one(seed)))


def test_eight_loops_in_eight_threads_leak_no_memory_descriptors_or_threads(new_loop, rust):
    # The C library gives each of these threads a heap of its own, which leaves fragments.
    assert_leaks_nothing(rust, 8 * 500, lambda _: run_eight_loops(new_loop, rust, 500), warm_up=10, fragments=8 << 20)


def test_streams_of_a_million_items_in_loops_of_several_threads_lose_none(rust, new_loop, load):
    items, threads_at_once = load(1_000_000), 4
    # The share of the items, the burst and the capacity. In the first two, each item crosses alone.
    ways = [(0.02, 1, None), (0.02, 200, 1), (0.3, 3, 2), (0.3, 200, None), (0.36, items, None)]

    async def consume(share, burst, capacity, eager_start):
        count, expected = round(items * share / threads_at_once / 2), 0
        async for item in rust.Numbers(count, burst).generator(capacity, eager_start):
            assert item == expected
            expected += 1
        return expected == count

    async def main():
        return await asyncio.gather(*(consume(*way, eager) for way in ways for eager in (False, True)))

    def in_thread():
        loop = new_loop()
        ended.append(loop.run_until_complete(main()))
        end(loop)

    ended = []
    workers = [threading.Thread(target=in_thread) for _ in range(threads_at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert ended == [[True] * 10] * threads_at_once


def test_streams_that_are_left_at_random_are_all_dropped(rust, new_loop, load):
    chance = random.Random(1)

    async def leave(numbers):
        generator = numbers.generator(chance.choice([1, 3, None]), chance.choice([False, True]))
        last = chance.randrange(20)
        async for item in generator:
            if item == last:
                break
        if chance.random() < 0.5:
            await generator.aclose()

    async def main():
        for _ in range(load(2000) // 20):
            tasks = [asyncio.ensure_future(leave(rust.Numbers(30, chance.randrange(1, 5)))) for _ in range(20)]
            for task in tasks:
                if chance.random() < 0.3:
                    asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.wait(tasks)

    live = rust.made() - rust.dropped()
    loop = new_loop()
    loop.run_until_complete(main())
    end(loop)
    rust.wait_until_live(live)

"""Rust iterates over async generators of Python. `tests/behaviour/streams.rs` has what a Rust caller sees."""

import asyncio
import gc
import threading

import pytest


async def numbers(count, every=0):
    for number in range(count):
        if every and number % every == 0:
            await asyncio.sleep(0)
        yield number


def test_a_million_items_arrive(run, rust, load):
    count = load(1_000_000)

    async def main():
        assert await rust.sum_items(numbers(count)) == count * (count - 1) // 2

    run(main())


def test_a_stream_wakes_its_loop_no_more_than_once_for_each_half_of_its_capacity(run, rust):
    """One job starts the iteration and one settles the future. Each of the others grants room for at least 50 items."""

    async def main():
        before = rust.metrics()
        assert len(await rust.collect_items(numbers(10_000), 100)) == 10_000
        # A turn is counted at its end.
        await asyncio.sleep(0)
        after = rust.metrics()
        return after["jobs"] - before["jobs"]

    assert run(main()) <= 10_000 // 50 + 2


def test_a_stream_is_one_python_task(run, rust):
    async def main():
        before = rust.metrics()["python_tasks"]
        going, go = asyncio.Event(), asyncio.Event()

        async def waits():
            yield 1
            going.set()
            await go.wait()
            yield 2

        tasks = asyncio.all_tasks()
        collected = rust.collect_items(waits())
        await going.wait()
        assert rust.metrics()["python_tasks"] == before + 1
        assert len(asyncio.all_tasks() - tasks) == 1
        go.set()
        assert await collected == [1, 2]
        assert asyncio.all_tasks() == tasks

    run(main())


@pytest.mark.parametrize("closes", [False, True])
def test_a_stream_that_is_left_at_any_item_cleans_up(run, rust, closes):
    ended = []

    async def notes(count):
        try:
            async for number in numbers(20, every=3):
                yield number
        finally:
            await asyncio.sleep(0)
            ended.append(count)

    async def main():
        # Of 21 items, none is left: the stream sees the end. With 19, the generator could be at its end too.
        counts = [*range(1, 18), 21]
        for count in [0, *counts]:
            taken = await rust.take_items(notes(count), count, closes)
            assert taken == list(range(min(count, 20)))
            if count and closes:
                assert ended[-1] == count
        # A stream that is dropped cleans up later, and one that was never polled has nothing to clean up.
        while len(ended) < len(counts):
            await asyncio.sleep(0)
        assert sorted(ended) == counts

    run(main())


def test_hundreds_of_streams_run_at_once_in_the_loops_of_four_threads(new_loop, rust, load):
    count, failed = load(250), []

    async def main():
        sums = await asyncio.gather(*(rust.sum_items(numbers(100, every=1 + number % 7), 1 + number % 9) for number in range(count)))
        assert sums == [4950] * count

    def thread():
        loop = new_loop()
        try:
            loop.run_until_complete(main())
        except BaseException as error:
            failed.append(error)
        finally:
            loop.close()

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert failed == []


def test_garbage_is_collected_in_the_middle_of_a_stream(run, rust):
    class Item:
        pass

    async def items():
        for _ in range(50):
            item = Item()
            # The collector sees this cycle.
            item.itself = item
            gc.collect(1)
            yield item

    async def main():
        collected = await rust.collect_items(items(), 3)
        assert len(collected) == 50
        assert all(item.itself is item for item in collected)

    run(main())

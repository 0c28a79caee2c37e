"""A scan that ends early leaves nothing running."""

import asyncio
import os
import weakref

import pytest
from support import SLOW, SLOW_PATTERN, by_iterating, last_of, plant, until

import scan


async def breaks(scanning, busy):
    async for _ in scanning:
        await until(busy)
        break


async def raises(scanning, busy):
    async for _ in scanning:
        await until(busy)
        raise LookupError


async def leaves(scanning, busy):
    async with scanning:
        matches = scanning.__aiter__()
        await matches.__anext__()
        await until(busy)
    assert [match async for match in matches] == []


async def drops(scanning, busy):
    matches = scanning.__aiter__()
    await matches.__anext__()
    await until(busy)


async def is_cancelled(scanning, busy):
    async for _ in scanning:
        await until(busy)
        asyncio.current_task().cancel()
        await asyncio.sleep(0)


async def cancels_the_callbacks(scanning, busy):
    async def on_match(match):
        await until(busy)
        searching.cancel()
        await asyncio.Event().wait()

    searching = asyncio.ensure_future(scanning.each(on_match))
    await searching


async def raises_in_a_callback(scanning, busy):
    async def on_match(match):
        await until(busy)
        raise LookupError

    await scanning.each(on_match)


ITERATING = [breaks, raises, leaves, drops, is_cancelled]
CALLING = [cancels_the_callbacks, raises_in_a_callback]


async def stop(scanning, way, busy):
    """Stops a scan once `busy` is true."""
    try:
        await asyncio.ensure_future(way(scanning, busy))
    except (LookupError, asyncio.CancelledError):
        pass


@pytest.mark.parametrize("way", ITERATING + CALLING)
def test_stopping_a_scan_ends_the_walk(run, large, way):
    async def main():
        scanning = scan.scan(large, "needle")
        progress_is_gone = last_of(scanning)
        # The walk stops here until there is room in the queue.
        await stop(scanning, way, lambda: scanning.progress.files_found > 4096)
        del scanning
        await progress_is_gone()

    run(main())


@pytest.mark.parametrize("way", ITERATING + CALLING)
def test_stopping_a_scan_ends_the_search_threads(run, tmp_path, way):
    plant(tmp_path, SLOW)

    async def main():
        scanning = scan.scan(tmp_path, SLOW_PATTERN, concurrency=3)
        progress_is_gone = last_of(scanning)
        await stop(scanning, way, lambda: scanning.progress.files_found == 3)
        del scanning
        await progress_is_gone()

    run(main())


def test_a_break_ends_a_scan_that_only_the_loop_refers_to(run, large):
    async def main():
        of_scan = []

        def begin():
            scanning = scan.scan(large, "needle")
            of_scan.extend([last_of(scanning), weakref.ref(scanning.progress)])
            return scanning

        async for _ in begin():
            progress_is_gone, progress = of_scan
            await until(lambda: progress().files_found > 4096)
            break
        await progress_is_gone()

    run(main())


def test_cancelling_a_task_that_waits_for_a_match_ends_the_scan(run, tmp_path):
    plant(tmp_path, SLOW)

    async def main():
        scanning = scan.scan(tmp_path, SLOW_PATTERN, concurrency=3)
        progress_is_gone = last_of(scanning)
        given = []
        waiting = asyncio.ensure_future(by_iterating(scanning, given))
        del scanning
        await until(lambda: len(given) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # Up to Python 3.10 a task keeps its cancellation and the frames of it.
        del waiting
        await progress_is_gone()

    run(main())


def test_a_scan_that_is_never_awaited_starts_nothing(run, tmp_path):
    async def main():
        scanning = scan.scan(tmp_path, "needle")
        progress_is_gone = last_of(scanning)
        del scanning
        await progress_is_gone()

    run(main())


def test_leaving_the_block_ends_the_walk_even_if_the_scan_is_kept(run, large):
    def is_open():
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return str(large) in [os.readlink(link) for link in links if os.path.lexists(link)]

    async def main():
        scanning = scan.scan(large, "needle")
        async with scanning:
            matches = scanning.__aiter__()
            await matches.__anext__()
            await until(lambda: scanning.progress.files_found > 4096)
            assert is_open()
        await until(lambda: not is_open())
        assert scanning.progress.files_found < len(os.listdir(large))
        assert [match async for match in matches] == []

    run(main())


def test_leaving_the_block_ends_the_scan_in_other_tasks(run, tmp_path):
    plant(tmp_path, SLOW)

    async def iterate(scanning, given):
        await by_iterating(scanning, given)

    async def call(scanning, given):
        async def on_match(match):
            given.append(match)

        await scanning.each(on_match)

    async def main():
        for wait in (iterate, call):
            scanning = scan.scan(tmp_path, SLOW_PATTERN, concurrency=3)
            given = []
            async with scanning:
                waiting = asyncio.ensure_future(wait(scanning, given))
                await until(lambda: len(given) == 2)
            await waiting
            assert len(given) == 2

    run(main())


def test_an_exception_leaves_the_block(run, tmp_path):
    async def main():
        with pytest.raises(LookupError):
            async with scan.scan(tmp_path, "needle"):
                raise LookupError

    run(main())

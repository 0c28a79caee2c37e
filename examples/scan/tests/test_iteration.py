"""`async for match in scan(...)`."""

import asyncio

import pytest
from support import SLOW, SLOW_PATTERN, by_iterating, plant, until

import scan


def test_iteration_yields_the_matches_of_a_file_together_and_in_order(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle\n" * 50 for number in range(10)})

    async def main():
        found = [match async for match in scan.scan(tmp_path, "needle", concurrency=4)]
        files = [found[first : first + 50] for first in range(0, 500, 50)]
        assert len({file[0].path for file in files}) == 10
        for file in files:
            assert [match.line for match in file] == list(range(1, 51))
            assert len({match.path for match in file}) == 1

    run(main())


def test_progress_counts_the_matches_on_their_way(run, tmp_path):
    plant(tmp_path, {"one": b"needle needle", "two": b"needle", "plain": b"hay"})

    async def main():
        scanning = scan.scan(tmp_path, "needle")
        progress = scanning.progress
        given = 0
        async for _ in scanning:
            given += 1
            assert given <= progress.matches <= 3
        assert (progress.files_found, progress.files_done, progress.matches) == (3, 3, 3)

    run(main())


def test_a_slow_consumer_holds_the_walk_back(run, large):
    async def main():
        scanning = scan.scan(large, "needle", concurrency=1)
        progress = scanning.progress
        given = 0
        async for _ in scanning:
            given += 1
            # These are the files done, the one that is next, those in the queue, and the one that waits for room in it.
            await until(lambda: progress.files_found >= progress.files_done + 4096 + 1)
            assert progress.files_found <= progress.files_done + 1 + 4096 + 1
            assert progress.matches <= given + 128
            if given == 200:
                break

    run(main())


def test_a_slow_consumer_holds_reads_back(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle" for number in range(200)})

    async def main():
        scanning = scan.scan(tmp_path, "needle", concurrency=3)
        matches = scanning.__aiter__()
        await matches.__anext__()
        await until(lambda: scanning.progress.files_found == 200)
        for file in tmp_path.iterdir():
            file.unlink()
        others = [match async for match in matches]
        # These files were searched before or while the first matches were returned.
        assert len(others) <= 127 + 3
        assert len(scanning.progress.unreadable) == 199 - len(others)

    run(main())


def test_cancelling_the_task_that_waits_ends_the_iteration(run, tmp_path):
    plant(tmp_path, SLOW)

    async def main():
        matches = scan.scan(tmp_path, SLOW_PATTERN, concurrency=2).__aiter__()
        given = []
        waiting = asyncio.ensure_future(by_iterating(matches, given))
        await until(lambda: len(given) == 2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [match async for match in matches] == []

    run(main())


def test_an_ended_iteration_stays_ended(run, tmp_path):
    plant(tmp_path, {"file": b"needle"})

    async def main():
        matches = scan.scan(tmp_path, "needle").__aiter__()
        assert len([match async for match in matches]) == 1
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await matches.__anext__()

        missing = scan.scan(tmp_path / "missing", "needle").__aiter__()
        with pytest.raises(FileNotFoundError):
            await missing.__anext__()
        with pytest.raises(StopAsyncIteration):
            await missing.__anext__()

    run(main())

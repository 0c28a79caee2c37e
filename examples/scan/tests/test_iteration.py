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


def test_another_match_of_a_searched_file_is_ready_at_once(run, tmp_path):
    plant(tmp_path, {"file": b"needle needle"})

    async def main():
        scanning = scan.scan(tmp_path, "needle")
        await scanning.__anext__()
        with pytest.raises(StopIteration) as returned:
            scanning.__anext__().send(None)
        assert returned.value.value.start == 7

    run(main())


def test_progress_counts_the_matches_returned(run, tmp_path):
    plant(tmp_path, {"one": b"needle needle", "two": b"needle", "plain": b"hay"})

    async def main():
        scanning = scan.scan(tmp_path, "needle")
        progress = scanning.progress
        given = 0
        async for _ in scanning:
            given += 1
            assert progress.matches == given
            assert progress.files_done < 3
        assert (progress.files_found, progress.files_done, progress.matches) == (3, 3, 3)

    run(main())


def test_a_slow_consumer_holds_the_walk_back(run, large):
    async def main():
        scanning = scan.scan(large, "needle", concurrency=1)
        for given in range(1, 201):
            await scanning.__anext__()
            # These are the returned files, those in the queue, and the one that waits for room in it.
            await until(lambda: scanning.progress.files_found >= given + 4096 + 1)
            assert scanning.progress.files_found == given + 4096 + 1

    run(main())


def test_a_slow_consumer_holds_reads_back(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle" for number in range(50)})

    async def main():
        scanning = scan.scan(tmp_path, "needle", concurrency=3)
        await scanning.__anext__()
        await until(lambda: scanning.progress.files_found == 50)
        for file in tmp_path.iterdir():
            file.unlink()
        others = [match async for match in scanning]
        # These files were searched before or while the first match was returned.
        assert len(others) <= 2
        assert len(scanning.progress.unreadable) == 49 - len(others)

    run(main())


def test_tasks_that_share_a_scan_get_each_match_once(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle\n" * 10 for number in range(20)})

    async def main():
        scanning = scan.scan(tmp_path, "needle", concurrency=3)

        async def work():
            found = []
            async for match in scanning:
                found.append(match)
                await asyncio.sleep(0)
            return found

        shares = await asyncio.gather(*(work() for _ in range(5)))
        assert all(shares)
        assert sorted(sum(shares, [])) == sorted([match async for match in scan.scan(tmp_path, "needle")])
        assert scanning.progress.files_done == 20

    run(main())


def test_cancelling_a_queued_call_takes_no_match_from_the_others(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle" for number in range(20)})

    async def main():
        scanning = scan.scan(tmp_path, "needle", concurrency=1)
        calls = [asyncio.ensure_future(scanning.__anext__()) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls[10:]:
            call.cancel()
        assert len(set(await asyncio.gather(*calls[:10]))) == 10

    run(main())


def test_cancelling_the_active_call_ends_the_iteration_for_all(run, tmp_path):
    plant(tmp_path, SLOW)

    async def main():
        scanning = scan.scan(tmp_path, SLOW_PATTERN, concurrency=2)
        given = []
        waiting = asyncio.ensure_future(by_iterating(scanning, given))
        await until(lambda: len(given) == 2)
        other = asyncio.ensure_future(by_iterating(scanning, given))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await other
        assert len(given) == 2
        assert [match async for match in scanning] == []

    run(main())


def test_an_ended_iteration_stays_ended(run, tmp_path):
    plant(tmp_path, {"file": b"needle"})

    async def main():
        scanning = scan.scan(tmp_path, "needle")
        assert len([match async for match in scanning]) == 1
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await scanning.__anext__()

        missing = scan.scan(tmp_path / "missing", "needle")
        with pytest.raises(FileNotFoundError):
            await missing.__anext__()
        with pytest.raises(StopAsyncIteration):
            await missing.__anext__()

    run(main())

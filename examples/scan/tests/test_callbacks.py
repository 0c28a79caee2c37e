"""`each`: an async function that Rust awaits for every match."""

import asyncio
import contextvars
import traceback
import weakref

import pytest
from support import plant, until

import scan


def test_the_callback_gets_the_matches_of_a_file_in_order_and_one_at_a_time(run, tmp_path):
    plant(tmp_path, {"file": b"needle\n" * 100})
    lines = []
    busy = False

    async def on_match(match):
        nonlocal busy
        assert not busy
        busy = True
        await asyncio.sleep(0)
        busy = False
        lines.append(match.line)

    async def main():
        await scan.scan(tmp_path, "needle").each(on_match)

    run(main())
    assert lines == list(range(1, 101))


def test_concurrency_limits_the_files_searched_at_once(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle" for number in range(50)})
    waiting = most = 0

    async def main():
        gate = asyncio.Event()

        async def on_match(match):
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            if waiting == 3:
                gate.set()
            await gate.wait()
            waiting -= 1

        scanning = scan.scan(tmp_path, "needle", concurrency=3)
        await scanning.each(on_match)
        assert scanning.progress.matches == 50

    run(main())
    assert most == 3


def test_progress_is_visible_while_the_search_runs(run, tmp_path):
    plant(tmp_path, {"plain": b"hay", "first": b"needle needle", "second": b"needle"})

    async def main():
        scanning = scan.scan(tmp_path, "needle", concurrency=1)
        progress = scanning.progress
        seen = []

        async def on_match(match):
            # The walk does not wait for this callback, so it reaches its end.
            while progress.files_found < 3:
                await asyncio.sleep(0)
            seen.append((progress.files_found, progress.matches))

        assert (progress.files_found, progress.files_done, progress.matches) == (0, 0, 0)
        assert await scanning.each(on_match) is None
        assert scanning.progress is progress
        assert seen == [(3, 0), (3, 1), (3, 2)]
        assert (progress.files_found, progress.files_done, progress.matches) == (3, 3, 3)
        assert repr(progress) == "<Progress: 3 of 3 files, 3 matches, 0 unreadable, 0 undecodable>"

    run(main())


def test_an_unreadable_file_is_reported(run, tmp_path):
    plant(tmp_path, {"one": b"needle", "two": b"needle"})

    async def main():
        scanning = scan.scan(tmp_path, "needle", concurrency=1)
        progress = scanning.progress

        async def on_match(match):
            while progress.files_found < 2:
                await asyncio.sleep(0)
            for path in {tmp_path / "one", tmp_path / "two"} - {match.path}:
                path.unlink()

        await scanning.each(on_match)
        (left,) = tmp_path.iterdir()
        ((path, reason),) = progress.unreadable
        assert {left, path} == {tmp_path / "one", tmp_path / "two"}
        assert reason == "No such file or directory"
        assert (progress.files_done, progress.matches) == (2, 1)

    run(main())


def test_the_callback_sees_the_context_of_the_caller(run, tmp_path):
    plant(tmp_path, {"file": b"needle"})
    variable = contextvars.ContextVar("variable")
    seen = []

    async def on_match(match):
        seen.append(variable.get())

    async def main():
        variable.set("the caller's")
        await scan.scan(tmp_path, "needle").each(on_match)

    run(main())
    assert seen == ["the caller's"]


def test_an_exception_in_the_callback_ends_the_search_and_keeps_its_traceback(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle" for number in range(50)})
    error = LookupError("from the callback")
    cancelled = []

    async def main():
        both = asyncio.Event()

        async def on_match(match):
            if not both.is_set():
                both.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.append(match)
                    raise
            raise error

        scanning = scan.scan(tmp_path, "needle", concurrency=2)
        with pytest.raises(LookupError) as raised:
            await scanning.each(on_match)
        assert raised.value is error
        assert "on_match" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        # The other pending callback is cancelled.
        while not cancelled:
            await asyncio.sleep(0)
        assert (scanning.progress.matches, scanning.progress.files_done) == (0, 0)

    run(main())
    assert len(cancelled) == 1


def test_cancelling_ends_the_callbacks_and_frees_them(run, tmp_path):
    plant(tmp_path, {f"{number}": b"needle" for number in range(50)})

    async def main():
        started = cancelled = 0
        both_started = asyncio.Event()
        dropped = asyncio.Event()

        async def on_match(match):
            nonlocal started, cancelled
            started += 1
            if started == 2:
                both_started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise

        scanning = scan.scan(tmp_path, "needle", concurrency=2)
        searching = asyncio.ensure_future(scanning.each(on_match))
        weakref.finalize(on_match, asyncio.get_running_loop().call_soon_threadsafe, dropped.set)
        del on_match

        await both_started.wait()
        searching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await searching
        # PyO3 releases a reference that a detached Rust thread dropped at the next call into Rust.
        await until(lambda: repr(scanning) and dropped.is_set() and cancelled == 2)
        assert started == 2
        assert (scanning.progress.matches, scanning.progress.files_done) == (0, 0)

    run(main())


def test_a_callback_that_returns_no_awaitable_raises_type_error(run, tmp_path):
    plant(tmp_path, {"file": b"needle"})

    async def main():
        with pytest.raises(TypeError):
            await scan.scan(tmp_path, "needle").each(lambda match: None)

    run(main())


def test_a_scan_runs_only_once(run, tmp_path):
    plant(tmp_path, {"file": b"needle needle"})
    begun = "^a scan runs once, and this one has begun"

    async def on_match(match):
        with pytest.raises(RuntimeError, match=begun):
            await scanning.each(print)

    async def main():
        nonlocal scanning
        await scanning.each(on_match)
        with pytest.raises(RuntimeError, match=begun):
            await scanning.each(print)
        with pytest.raises(RuntimeError, match=begun):
            scanning.__aiter__()

        scanning = scan.scan(tmp_path, "needle")
        matches = scanning.__aiter__()
        with pytest.raises(RuntimeError, match=begun):
            await scanning.each(print)
        assert len([match async for match in matches]) == 2

    scanning = scan.scan(tmp_path, "needle")
    run(main())

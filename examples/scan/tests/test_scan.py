import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import traceback
import weakref

import pytest
import uvloop

import scan
import scan.__main__
import scan.threads

# No test waits this long; one that would wait for ever fails instead.
PATIENCE = 60


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    runner = {"asyncio": asyncio.run, "uvloop": uvloop.run}[request.param]

    async def patiently(awaitable):
        return await asyncio.wait_for(awaitable, PATIENCE)

    return lambda awaitable: runner(patiently(awaitable))


def plant(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def tree(tmp_path):
    plant(
        tmp_path,
        {
            "empty.txt": b"",
            "first_byte.txt": b"needle and needle\nno more\n",
            "last_byte.txt": b"\n\nthe last line has no newline: needle",
            "windows.txt": b"one\r\ntwo needle\r\n\r\nneedle\r\n",
            "old_mac.txt": b"one\rneedle\rtwo",
            "latin_1.txt": "caf\xe9: needle, needle\xe9, \xe9needle\n".encode("latin-1"),
            "greek.txt": "βελόνα needleα\nαneedle needle\n".encode(),
            "binary.txt": bytes(range(256)) + b"needle" + bytes(range(256)),
            "across.txt": b"begin\nend\nbegin end\n",
            "deep/er/still.txt": b"needle\n" * 300,
            "deep/other.md": b"needle\n",
            "deep/skipped/lost.txt": b"needle\n",
            "skipped/lost.txt": b"needle\n",
            "skipped.txt": b"needle\n",
        },
    )
    plant(tmp_path, {os.fsdecode(b"not-utf-8-\xff.txt"): b"needle\n"})
    (tmp_path / "link.txt").symlink_to(tmp_path / "first_byte.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "deep")
    return tmp_path


async def found_by(search, *arguments, **options):
    found = []

    async def on_match(match):
        found.append(match)

    progress = await search(*arguments, on_match, **options)
    return sorted(found), progress


@pytest.mark.parametrize(
    "pattern",
    [
        "needle",
        r"\bneedle\b",
        r"(?i)NEEDLE",
        r"\w+\s+needle",
        r"(?s)begin.end",
        r"(?m)^\s*needle$",
        r"n(e+)(d|x)le?",
        r"[^\x00-\x7f]+",
        r".",
        "β",
    ],
)
@pytest.mark.parametrize("options", [{}, {"suffix": ".txt", "skip": {"skipped"}, "concurrency": 1}])
def test_rust_finds_what_python_finds(run, tree, pattern, options):
    async def main():
        return [await found_by(search, tree, pattern, **options) for search in (scan.search, scan.threads.search)]

    (in_rust, rust), (in_python, python) = run(main())
    assert in_rust and in_rust == in_python
    assert rust.files_found == rust.files_done == python.files_found == python.files_done
    assert rust.matches == len(in_rust)
    assert sorted(rust.undecodable) == sorted(python.undecodable)
    assert {path.name for path in rust.undecodable} == {"binary.txt", "latin_1.txt"}
    assert rust.unreadable == []


def test_a_match_says_where_it_is(run, tmp_path):
    plant(tmp_path, {"file": "one\n  caf\xe9 two three\r\n".encode("latin-1")})

    (match,), _ = run(found_by(scan.search, tmp_path, "two"))

    assert match == scan.Match(tmp_path / "file", 2, 11, 14, "  caf\N{REPLACEMENT CHARACTER} two three")
    assert (match.path, match.line, match.start, match.end) == (tmp_path / "file", 2, 11, 14)
    assert repr(match) == f"<Match {tmp_path / 'file'}:2: {match.text}>"


def test_the_matches_of_a_file_come_in_order_and_one_at_a_time(run, tmp_path):
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
        await scan.search(tmp_path, "needle", on_match)

    run(main())
    assert lines == list(range(1, 101))


def test_no_more_files_are_searched_at_once_than_asked_for(run, tmp_path):
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

        return await scan.search(tmp_path, "needle", on_match, concurrency=3)

    assert run(main()).matches == 50
    assert most == 3


def test_progress_is_seen_while_the_search_runs(run, tmp_path):
    plant(tmp_path, {"plain": b"hay", "first": b"needle needle", "second": b"needle"})

    async def main():
        progress = scan.Progress()
        seen = []

        async def on_match(match):
            # The walk needs nothing from this callback, so it gets to its end.
            while progress.files_found < 3:
                await asyncio.sleep(0)
            seen.append((progress.files_found, progress.matches))

        assert (progress.files_found, progress.files_done, progress.matches) == (0, 0, 0)
        result = await scan.search(tmp_path, "needle", on_match, concurrency=1, progress=progress)
        assert result is progress
        assert seen == [(3, 0), (3, 1), (3, 2)]
        assert (progress.files_found, progress.files_done, progress.matches) == (3, 3, 3)
        assert repr(progress) == "<Progress: 3 of 3 files, 3 matches, 0 unreadable, 0 undecodable>"

    run(main())


def test_a_file_that_cannot_be_read_is_reported(run, tmp_path):
    plant(tmp_path, {"one": b"needle", "two": b"needle"})

    async def main():
        progress = scan.Progress()

        async def on_match(match):
            while progress.files_found < 2:
                await asyncio.sleep(0)
            for path in {tmp_path / "one", tmp_path / "two"} - {match.path}:
                path.unlink()

        await scan.search(tmp_path, "needle", on_match, concurrency=1, progress=progress)
        (left,) = tmp_path.iterdir()
        ((path, reason),) = progress.unreadable
        assert {left, path} == {tmp_path / "one", tmp_path / "two"}
        assert "No such file" in reason
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
        await scan.search(tmp_path, "needle", on_match)

    run(main())
    assert seen == ["the caller's"]


def test_an_exception_in_the_callback_ends_the_search_and_comes_out_with_its_traceback(run, tmp_path):
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

        progress = scan.Progress()
        with pytest.raises(LookupError) as raised:
            await scan.search(tmp_path, "needle", on_match, concurrency=2, progress=progress)
        assert raised.value is error
        assert "on_match" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        # The other callback that was being awaited is cancelled.
        while not cancelled:
            await asyncio.sleep(0)
        assert (progress.matches, progress.files_done) == (0, 0)

    run(main())
    assert len(cancelled) == 1


def test_cancelling_ends_the_walk_the_reading_and_the_callbacks(run, tmp_path):
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

        progress = scan.Progress()
        searching = scan.search(tmp_path, "needle", on_match, concurrency=2, progress=progress)
        # The Rust future, the walk and the readers hold the callback: it goes when the last of them goes.
        weakref.finalize(on_match, asyncio.get_running_loop().call_soon_threadsafe, dropped.set)
        del on_match

        await both_started.wait()
        searching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await searching
        while not (dropped.is_set() and cancelled == 2):
            # A reference that Rust drops on a thread of its own is given back when Python next calls into it.
            repr(progress)
            await asyncio.sleep(0)
        assert started == 2
        assert (progress.matches, progress.files_done) == (0, 0)

    run(main())


def test_a_bad_pattern_is_a_value_error_that_shows_it(run, tmp_path):
    async def main():
        with pytest.raises(ValueError, match=r"cannot search for \"\(needle\"(.|\n)*unclosed group"):
            scan.search(tmp_path, "(needle", print)

    run(main())


def test_a_root_that_cannot_be_listed_is_the_error_that_python_has_for_it(run, tmp_path):
    plant(tmp_path, {"file": b""})

    async def main():
        with pytest.raises(FileNotFoundError) as raised:
            scan.search(tmp_path / "missing", "needle", print)
        assert raised.value.filename == str(tmp_path / "missing")
        with pytest.raises(NotADirectoryError) as raised:
            scan.search(tmp_path / "file", "needle", print)
        assert raised.value.filename == str(tmp_path / "file")

    run(main())


def test_a_search_of_no_file_at_a_time_is_a_value_error(run, tmp_path):
    async def main():
        with pytest.raises(ValueError, match="concurrency is 0"):
            scan.search(tmp_path, "needle", print, concurrency=0)

    run(main())


def test_a_callback_that_gives_nothing_to_await_is_a_type_error(run, tmp_path):
    plant(tmp_path, {"file": b"needle"})

    async def main():
        with pytest.raises(TypeError):
            await scan.search(tmp_path, "needle", lambda match: None)

    run(main())


def start(*arguments):
    # A shell has its background jobs ignore the signal, and the program would inherit that.
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def end(process):
    """What the program printed from now on, on standard output and on standard error."""
    try:
        return process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_program_prints_the_matches_by_module(tmp_path, loop):
    plant(
        tmp_path,
        {
            "package/__init__.py": b"async def f(): pass\n",
            "package/module.py": b"async def g(): pass\n\nasync def h(x=[red]): pass\n",
            "package/site-packages/installed.py": b"async def i(): pass\n",
        },
    )
    with start("-m", "scan", "--root", str(tmp_path), "--loop", loop) as process:
        output, errors = end(process)
    assert (process.returncode, errors) == (0, "")
    rows = [line.split() for line in output.splitlines()]
    assert ["2", "package.module", "1:", "async", "def", "g():", "pass"] in rows
    assert ["1", "package", "1:", "async", "def", "f():", "pass"] in rows
    assert "2 files, 3 matches" in output

    with start("-m", "scan", "--root", str(tmp_path), "--all", "--progress", r"\[red]") as process:
        output, errors = end(process)
    assert process.returncode == 0
    assert f"{tmp_path}/package/module.py:3: async def h(x=[red]): pass" in output.splitlines()
    assert "2/2" in errors


def test_the_program_fails_if_the_searches_differ(run, tree, capsys):
    outcomes = [scan.__main__.Outcome(title, scan.threads.Progress()) for title in ("one", "other")]
    for outcome in outcomes:
        outcome.matches = run(found_by(scan.threads.search, tree, "needle"))[0]
    assert scan.__main__.same(*outcomes)
    missed = outcomes[1].matches.pop()
    assert not scan.__main__.same(*outcomes)
    assert f"only one found {missed!r}" in capsys.readouterr().err


def test_the_program_says_in_one_line_what_is_wrong_with_its_arguments(tmp_path):
    for arguments, message in (
        (["(needle"], "'(needle' is no regular expression"),
        (["--root", str(tmp_path / "missing")], "No such file or directory"),
        (["(?=needle)"], "look-around"),
    ):
        with start("-m", "scan", *arguments) as process:
            _, errors = end(process)
        assert process.returncode == 2
        assert message in errors.splitlines()[-1]


@pytest.mark.parametrize("bar", ["--progress", "--no-progress"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_control_c_ends_the_program_cleanly(tmp_path, loop, bar):
    # So many matches that the search takes longer than anyone waits.
    plant(tmp_path, {f"{number}.py": b"needle\n" * 100_000 for number in range(20)})
    with start("-m", "scan", ".", "--root", str(tmp_path), "--loop", loop, bar) as process:
        assert process.stdout.readline().startswith("searching")
        process.send_signal(signal.SIGINT)
        output, errors = end(process)
    assert process.returncode == 130
    assert output == ""
    assert errors.splitlines()[-1] == "interrupted"
    assert "Traceback" not in errors and "rror" not in errors
    if bar == "--no-progress":
        assert errors == "interrupted\n"


WAITS_IN_THE_CALLBACK = """
import asyncio, sys, scan

async def on_match(match):
    # Where asyncio does not turn the signal into a cancellation, it may strike here.
    try:
        print("found", flush=True)
        await asyncio.Event().wait()
    finally:
        print("ended", flush=True)

async def main():
    await scan.search(sys.argv[1], "needle", on_match)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_control_c_ends_the_callback_that_rust_awaits(tmp_path):
    plant(tmp_path, {"file": b"needle needle"})
    with start("-c", WAITS_IN_THE_CALLBACK, str(tmp_path)) as process:
        assert process.stdout.readline() == "found\n"
        process.send_signal(signal.SIGINT)
        output, errors = end(process)
    assert (process.returncode, output, errors) == (130, "ended\n", "")

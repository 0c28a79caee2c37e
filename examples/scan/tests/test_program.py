"""`python -m scan`, and Ctrl-C."""

import re
import signal
import subprocess
import sys

import pytest
from support import PATIENCE, SLOW, SLOW_PATTERN, by_callbacks, plant

import scan
import scan.__main__
import scan.threads


def start(*arguments):
    # A shell makes its background jobs ignore the signal, and the program would inherit that.
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def end(process):
    """Waits for the program. Returns the rest of its standard output and its standard error."""
    try:
        return process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


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


def test_all_searches_agree_on_the_standard_library(loop):
    with start("-m", "scan", "--no-progress", "--loop", loop) as process:
        output, errors = end(process)
    assert (process.returncode, errors) == (0, "")
    files, matches = re.search(r"^(\d+) files, (\d+) matches$", output, re.MULTILINE).groups()
    assert int(files) > 1000 and int(matches) > 100


def test_the_program_fails_if_the_searches_differ(run, tree, capsys):
    outcomes = [scan.__main__.Outcome(title, scan.threads.Progress()) for title in ("one", "other")]
    for outcome in outcomes:
        run(by_callbacks(scan.threads.Scan(tree, "needle"), outcome.matches))
        outcome.matches.sort()
    assert scan.__main__.same(outcomes)
    missed = outcomes[1].matches.pop()
    assert not scan.__main__.same(outcomes)
    assert f"one found {missed!r}, and other did not" in capsys.readouterr().err


def test_bad_arguments_are_explained_in_one_line(tmp_path):
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
def test_control_c_ends_the_program_cleanly(tmp_path, loop, bar):
    # With so many matches the search takes longer than the test waits.
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


WAITS = """
import asyncio, sys, scan

async def callback():
    async def on_match(match):
        # Before Python 3.11 asyncio does not turn the signal into a cancellation, and it may be raised here.
        try:
            print("found", flush=True)
            await asyncio.Event().wait()
        finally:
            print("ended", flush=True)

    await scanning.each(on_match)

async def iteration():
    try:
        async for match in scanning:
            print("found", flush=True)
    finally:
        print("ended", flush=True)

scanning = scan.scan(*sys.argv[2:], concurrency=2)
try:
    asyncio.run(globals()[sys.argv[1]]())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("waiting_in", "files"), [("callback", {"file": b"needle needle"}), ("iteration", SLOW)])
def test_control_c_ends_a_waiting_scan(tmp_path, waiting_in, files):
    plant(tmp_path, files)
    with start("-c", WAITS, waiting_in, str(tmp_path), SLOW_PATTERN) as process:
        assert process.stdout.readline() == "found\n"
        process.send_signal(signal.SIGINT)
        output, errors = end(process)
    assert (process.returncode, output.splitlines()[-1], errors) == (130, "ended", "")

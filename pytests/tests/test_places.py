"""What fails and nobody looks, and what nobody awaits, says where in Rust it was made, without the debug mode.

https://github.com/meta-pytorch/monarch/pull/1679
"""

import asyncio
import gc
import os
import pathlib
import subprocess
import sys
import textwrap
import warnings

import pyo3_asyncio_pytests as rust
import pytest

ROOT = pathlib.Path(__file__).parents[2]
FUTURES = ["failed_future", "failed_eager_future", "failed_local_future"]
COROUTINES = {
    "failed_coroutine": rust.failed_coroutine,
    "failed_export": rust.failed_export,
    "failed_eager_export": rust.failed_eager_export,
    "failed_method": lambda: rust.Failed().failed_method(),
}
has_notes = sys.version_info >= (3, 11)


def line_at(file, number):
    return (ROOT / file).read_text().splitlines()[number - 1]


async def until_reported(complaints):
    while not complaints:
        await rust.turns(1, None)
        gc.collect()
    [complaint] = complaints
    complaints.clear()
    return complaint


@pytest.mark.parametrize("dropped", ["before it fails", "after it failed"])
@pytest.mark.parametrize("name", FUTURES)
def test_a_failed_future_that_nobody_awaited_says_where_it_was_made(run, complaints, name, dropped):
    async def main():
        future = getattr(rust, name)()
        if dropped == "after it failed":
            await asyncio.wait([future])
        del future
        return await until_reported(complaints)

    complaint = run(main())
    place = complaint["source_traceback"][-1]
    assert f'"{name}"' in line_at(place.filename, place.lineno)
    # In debug mode, the repr says where in Python it was made, as that of a future of asyncio.
    if not complaint["future"].get_loop().get_debug():
        assert f"created at {place.filename}:{place.lineno}>" in repr(complaint["future"])


@pytest.mark.parametrize("name", COROUTINES)
def test_a_coroutine_that_nobody_awaited_says_where_it_was_made(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coroutine = COROUTINES[name]()
        [(file, line, function)] = coroutine.cr_origin
        qualname = coroutine.__qualname__
        del coroutine
        gc.collect()
    assert [str(it.message) for it in caught] == [
        f"coroutine '{qualname}' was never awaited\n"
        "Coroutine created at (most recent call last)\n"
        f'  File "{file}", line {line}, in {function}'
    ]
    assert name in line_at(file, line)


def test_a_task_of_a_coroutine_that_failed_says_where_it_was_made(run, complaints):
    """asyncio reports it, and shows the coroutine."""

    async def main():
        task = asyncio.ensure_future(rust.failed_coroutine())
        await asyncio.wait([task])
        del task
        return await until_reported(complaints)

    coroutine = run(main())["future"].get_coro()
    assert '"failed_coroutine"' in line_at(coroutine.cr_code.co_filename, coroutine.cr_code.co_firstlineno)


@pytest.mark.parametrize("name", ["failed_start", "failed_call", "failed_iteration"])
def test_a_call_of_rust_that_failed_says_where_it_was_made(run, complaints, name):
    async def main():
        getattr(rust, name)()
        return await until_reported(complaints)

    complaint = run(main())
    assert str(complaint["exception"]) == name
    place = complaint["source_traceback"][-1]
    assert f'"{name}"' in line_at(place.filename, place.lineno)


def test_a_task_of_rust_that_failed_says_where_it_was_started(run, complaints):
    async def fails(text):
        await asyncio.sleep(0)
        raise LookupError(text)

    async def main():
        rust.failed_task(fails)
        return await until_reported(complaints)

    notes = getattr(run(main())["exception"], "__notes__", [])
    assert len(notes) == int(has_notes)
    for note in notes:
        text, file, line, _ = note.replace(" at ", ":").split(":")
        assert text == "in the task of the Rust call"
        assert '"failed_task"' in line_at(file, int(line))


def test_asyncio_prints_where_a_failed_future_was_made(run, caplog):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(None)
        rust.failed_future()
        while not caplog.records:
            await rust.turns(1, None)

    run(main())
    [record] = caplog.records
    assert "Object created at (most recent call last):\n" in record.getMessage()
    *_, place = [line for line in record.getMessage().splitlines() if line.startswith("  File ")]
    assert 'places.rs", line ' in place and place.endswith(", in <rust>")
    caplog.clear()


WAYS = """
    import asyncio
    import pyo3_asyncio_pytests as rust

    async def notes(awaited):
        try:
            await awaited
        except LookupError as error:
            return getattr(error, "__notes__", [])

    async def main():
        ways = [rust.failed_future, rust.failed_eager_future, rust.failed_local_future, rust.failed_coroutine, rust.failed_export,
                rust.failed_eager_export, rust.Failed().failed_method, lambda: rust.Failed.failed_stream().__anext__()]
        for way in ways:
            print(*await notes(way()))
        for blocks in [rust.failed_blocking_export, lambda: next(rust.Failed.failed_blocking_stream())]:
            print(*await notes(asyncio.to_thread(blocks)))
        error = LookupError()
        for _ in range(2):
            gate = rust.Gate()
            gate.fail(error)
            print(len(await notes(gate.wait())))

    asyncio.run(main())
"""
NAMES = [*FUTURES, *COROUTINES, "failed_stream", "failed_export", "failed_stream"]


@pytest.mark.parametrize("wanted", ["0", "1"])
def test_an_error_of_rust_has_a_note_of_where_it_was_made_if_rust_backtrace_asks(wanted):
    environment = {**os.environ, "RUST_BACKTRACE": wanted}
    program = [sys.executable, "-c", textwrap.dedent(WAYS)]
    ended = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    *notes, first, second = ended.stdout.splitlines()
    has = has_notes and wanted == "1"
    assert first == second == str(int(has))
    assert len(notes) == len(NAMES)
    for name, note in zip(NAMES, notes):
        if not has:
            assert note == ""
            continue
        text, file, line, _ = note.replace(" at ", ":").split(":")
        assert text == "in the Rust future made"
        assert name in line_at(file, int(line))

"""A panic becomes an exception with the text of the panic, and nothing hangs."""

import asyncio
import gc
import os
import pathlib
import subprocess
import sys
import textwrap
import traceback

import pytest


@pytest.fixture
def panic_printed(capfd):
    """Asserts that Rust's panic hook printed to stderr, and hides the output from `nothing_is_left`."""

    def panic_printed(text):
        printed = capfd.readouterr().err
        assert text in printed
        assert "panicked at" in printed
        assert "Traceback" not in printed

    return panic_printed


@pytest.mark.parametrize("where", ["panic", "panic_in_conversion"])
@pytest.mark.parametrize("text", ["a text with {braces} and ünïcode", "", "two\nlines"])
def test_a_panic_raises_rust_panic_with_its_own_text(run, rust, panic_printed, where, text):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        getattr(gate, where)(text)
        with pytest.raises(rust.RustPanic) as caught:
            await future
        assert text in str(caught.value)
        assert isinstance(caught.value, Exception)
        gate.wait_until_dropped()

    run(main())
    panic_printed(text)


@pytest.mark.parametrize("where", ["panic", "panic_in_conversion"])
def test_the_runtime_and_the_loop_survive_a_panic(run, rust, panic_printed, where):
    async def main():
        gates = [rust.Gate() for _ in range(20)]
        futures = [gate.wait() for gate in gates]
        for number, gate in enumerate(gates):
            getattr(gate, where)("odd") if number % 2 else gate.open(number)
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [result for result in results if isinstance(result, int)] == list(range(0, 20, 2))
        assert sum(isinstance(result, rust.RustPanic) for result in results) == 10
        assert await rust.turns(3, "still there") == "still there"

    run(main())
    panic_printed("odd")


@pytest.mark.parametrize("where", ["panic", "panic_in_conversion"])
def test_an_unretrieved_panic_is_reported_to_the_loop(run, rust, complaints, panic_printed, where):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        getattr(gate, where)("unseen")
        await asyncio.wait([future])
        del future
        gc.collect()

    run(main())
    complaint = complaints.pop()
    assert isinstance(complaint["exception"], rust.RustPanic)
    panic_printed("unseen")


@pytest.mark.two_threads
def test_a_cancelled_future_is_not_polled_into_a_panic(run, rust):
    async def main():
        gate = rust.Gate()
        gate.wait().cancel()
        gate.wait_until_dropped()
        assert not gate.panic("never polled again")

    run(main())


def test_rust_can_pass_on_the_panic_of_a_nested_future(run, rust, panic_printed):
    async def main():
        gate = rust.Gate()
        inner = gate.wait()
        outer = rust.into_future(inner).wait()
        gate.panic("from the inner one")
        with pytest.raises(rust.RustPanic, match="from the inner one"):
            await outer

    run(main())
    panic_printed("from the inner one")


@pytest.mark.parametrize("where", ["panic", "panic_in_conversion"])
def test_a_panic_carries_its_file_and_line(run, rust, panic_printed, where):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        getattr(gate, where)("placed")
        with pytest.raises(rust.RustPanic) as caught:
            await future
        return caught.value

    error = run(main())
    panic_printed("placed")
    assert (error.message, pathlib.PurePath(error.file).name) == ("placed", "gate.rs")
    place = f"panicked at {error.file}:{error.line}:"
    assert place in "".join(traceback.format_exception(type(error), error, None))
    if sys.version_info >= (3, 11):
        assert place in error.__notes__[0]
        assert place not in str(error)


@pytest.mark.parametrize("wanted", ["0", "1"])
def test_a_panic_carries_a_backtrace_if_rust_backtrace_is_set(wanted):
    program = textwrap.dedent(
        """
        import asyncio
        import pyo3_asyncio_pytests as rust

        async def main():
            gate = rust.Gate()
            future = gate.wait()
            gate.panic("far down")
            try:
                await future
            except rust.RustPanic as error:
                assert error.backtrace is None or error.backtrace in "".join([str(error), *getattr(error, "__notes__", [])])
                print(error.backtrace is not None and "pyo3_asyncio_pytests" in error.backtrace)

        asyncio.run(main())
        """
    )
    environment = {**os.environ, "RUST_BACKTRACE": wanted}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, f"{wanted == '1'}\n"), ended.stderr

"""Whole programs: how they end and what they print."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from conftest import LOOPS

START = {"asyncio": "asyncio.run(main())"}
if "uvloop" in LOOPS:
    START["uvloop"] = "uvloop.run(main())"


def program(body, kind):
    """A program with the imports that it needs, which starts its `main` on the loop."""
    imports = "import asyncio, atexit, gc, sys, threading\nimport pyo3_asyncio_pytests as rust\n"
    if kind == "uvloop":
        imports += "import uvloop\n"
    return imports + textwrap.dedent(body) + f"\n{START[kind]}\n"


def environment():
    # In debug mode asyncio prints slow callbacks to stderr.
    return {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}


def finished(source):
    """Runs a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=120, env=environment()
    )


def interrupted(source):
    """Runs a program and sends Ctrl-C after its first line."""
    with subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        out, err = last_words(process, source)
    return process.returncode, out, err


def wake(process):
    """Stops a process and lets it continue, which wakes its main thread.

    If a signal arrives just before the main thread waits in the kernel, CPython handles it at the next wake-up. On asyncio's own
    loops that may be never, with or without Rust.
    """
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)


def last_words(process, source):
    """The remaining output of a program after a signal. Wakes a program on asyncio's own loop, which may sleep on the signal."""
    try:
        if "asyncio.run(" in source:
            try:
                return process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                wake(process)
        return process.communicate(timeout=60)
    finally:
        process.kill()


def without_frames(err):
    """The lines of stderr, without the frames of tracebacks."""
    return [line for line in err.splitlines() if not line.startswith(" ")]


WAITING = """
    @atexit.register
    def tell():
        rust.wait_until_live(0)
        print("dropped all" if rust.made() == rust.dropped() else "some live on", flush=True)

    async def waiter():
        await {future}

    async def main():
        waiting = [asyncio.ensure_future(waiter()) for _ in range(10)]
        # Before 3.11 the interrupt is raised in the running Python code. So wait until only the loop runs.
        while len(asyncio.all_tasks()) < {tasks}:
            await rust.turns(1, None)
        await rust.turns(100, None)
        asyncio.get_running_loop().call_soon(lambda: print("waiting", flush=True))
        await asyncio.wait(waiting)
"""


@pytest.mark.parametrize("kind", START)
@pytest.mark.parametrize(
    ("future", "tasks"),
    [
        ("rust.never()", 11),
        ("rust.nap(3600)", 11),
        ("rust.sleep(3600)", 21),
        ("rust.wrap_sleep(3600)", 21),
        ("rust.into_future(asyncio.sleep(3600)).wait()", 21),
    ],
)
def test_ctrl_c_ends_a_program_as_it_ends_one_without_rust(kind, future, tasks):
    code, out, err = interrupted(program(WAITING.format(future=future, tasks=tasks), kind))
    without_rust = WAITING.format(future="asyncio.sleep(3600)", tasks=11)
    expected_code, _, expected_err = interrupted(program(without_rust, kind))
    # After a KeyboardInterrupt, Python kills itself with the signal. A shell shows this as 130.
    assert code == expected_code == -signal.SIGINT
    assert out == "dropped all\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert without_frames(err) == without_frames(expected_err)


@pytest.mark.parametrize("kind", START)
def test_ctrl_c_lets_the_program_clean_up(kind):
    code, out, err = interrupted(
        program(
            """
            async def main():
                asyncio.get_running_loop().call_soon(lambda: print("waiting", flush=True))
                try:
                    await rust.never()
                except asyncio.CancelledError:
                    print("cleaned up", await rust.turns(3, "with Rust"))
                    raise
            """,
            kind,
        )
    )
    assert (code, out) == (-signal.SIGINT, "cleaned up with Rust\n")
    assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("kind", START)
def test_a_program_ends_quietly_with_futures_in_flight(kind):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/40"""
    ended = finished(
        program(
            """
            async def main():
                global kept
                kept = [rust.never() for _ in range(100)], [rust.nap(0.0001 * number) for number in range(1000)]
                await rust.turns(1, None)
                print("done")
            """,
            kind,
        )
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("kind", START)
def test_a_program_ends_quietly_while_completions_arrive(kind):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/40"""
    source = program(
        """
        async def main():
            global gates, opener
            gates = [rust.Gate() for _ in range(20_000)]
            futures = [gate.wait() for gate in gates]

            def open_all():
                for gate in gates:
                    gate.open(None)

            # The interpreter does not wait for a daemon thread.
            opener = threading.Thread(target=open_all, daemon=True)
            opener.start()
            await futures[0]
            print("done")
        """,
        kind,
    )
    for _ in range(5):
        ended = finished(source)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("kind", START)
def test_a_blocked_worker_does_not_delay_the_exit(kind):
    """A future that blocks in its poll does not prevent the exit."""
    ended = finished(
        program(
            """
            async def main():
                global hold
                hold = rust.Hold()
                print("held")
            """,
            kind,
        )
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "held\n", "")

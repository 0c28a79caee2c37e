"""Real signals to real processes: Ctrl-C, signal handlers, and the prompt."""

import os
import re
import select
import signal
import statistics
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import LOOPS
from test_processes import environment, last_words, wake

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these signals nor terminals")

IMPORTS = """
import asyncio, atexit, os, signal, sys
import pyo3_asyncio_pytests as rust

if {kind!r} == "uvloop":
    import uvloop
    uvloop.install()

def waiting():
    # A handler calls this too. A `print` inside a `print` fails.
    os.write(1, b"waiting\\n")

@atexit.register
def tell():
    rust.wait_until_live(0)
    print("dropped", rust.dropped(), "of", rust.made())
"""


def signalled(body, kind, *signals, sent=None):
    """Runs a program, and sends it a signal each time it prints "waiting".

    Returns its status, its other output, and its standard error. Appends the time of each signal to `sent`.
    """
    source = IMPORTS.format(kind=kind) + textwrap.dedent(body)
    # A debug build of Python warns about the loop that an interrupt left open.
    quiet = ["-W", "ignore::DeprecationWarning", "-W", "ignore::ResourceWarning"]
    with subprocess.Popen(
        [sys.executable, *quiet, "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        before = []
        for number in signals:
            # An empty line means that the program has ended.
            while (line := process.stdout.readline()) not in ("waiting\n", ""):
                before.append(line)
            if sent is not None:
                sent.append(time.clock_gettime(time.CLOCK_MONOTONIC))
            process.send_signal(number)
        out, err = last_words(process, source)
    return process.returncode, "".join([*before, out]).splitlines(), err


@pytest.fixture(params=LOOPS)
def kind(request):
    return request.param


WAITS = {
    "block_on": "rust.block_on(waiting)",
    "block_on, woken all the time": "rust.block_on_busy(waiting)",
    "run": "rust.run(waiting)",
    "run_until_complete": "rust.run_until_complete(asyncio.new_event_loop(), waiting)",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_ends_a_wait_for_rust_and_the_process(kind, wait):
    status, out, err = signalled(wait, kind, signal.SIGINT)
    # Python kills itself with the signal, which a shell shows as 130.
    assert (status, out) == (-signal.SIGINT, ["dropped 1 of 1"])
    assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_program_can_catch_the_keyboard_interrupt_and_go_on(kind, wait):
    status, out, err = signalled(
        f"""
        for _ in range(2):
            try:
                {wait}
            except KeyboardInterrupt:
                print("caught with", rust.made() - rust.dropped(), "alive")
        """,
        kind,
        signal.SIGINT,
        signal.SIGINT,
    )
    assert (status, err) == (0, "")
    assert out == ["caught with 0 alive"] * 2 + ["dropped 2 of 2"]


def test_ctrl_c_ends_block_on_within_a_tenth_of_a_second(kind):
    """The test takes the median of the times since the signal, because a busy machine delays some of them."""
    sent = []
    status, out, err = signalled(
        """
        import threading, time

        blocks = threading.Event()

        def tell():
            for _ in range(15):
                blocks.wait()
                blocks.clear()
                # The main thread has detached, so the signal does not arrive in Python code.
                waiting()

        threading.Thread(target=tell).start()
        for _ in range(15):
            try:
                rust.block_on(blocks.set)
            except KeyboardInterrupt:
                print(time.clock_gettime(time.CLOCK_MONOTONIC))
        """,
        kind,
        *[signal.SIGINT] * 15,
        sent=sent,
    )
    assert (status, out.pop(), err) == (0, "dropped 15 of 15", "")
    assert statistics.median(float(ended) - begun for begun, ended in zip(sent, out)) < 0.1


RUST_IS_MAIN = """
import threading, time

gate, clean, log = rust.Gate(), rust.Gate(), []

def watch():
    while not gate.polls:
        time.sleep(0.001)
    waiting()
    while not log and {cleans_up}:
        time.sleep(0.001)
    clean.open(None)

watcher = threading.Thread(target=watch)
watcher.start()
try:
    asyncio.run({main})
finally:
    watcher.join()
    print("told of", [type(error).__name__ for error in log])
"""


@pytest.mark.parametrize(
    ("main", "told"),
    [("gate.coroutine()", []), ("gate.cancellable_coroutine(log, clean)", ["CancelledError"])],
    ids=["", "that cleans up"],
)
def test_ctrl_c_ends_a_rust_coroutine_that_is_the_main_task(kind, main, told):
    status, out, err = signalled(RUST_IS_MAIN.format(main=main, cleans_up=bool(told)), kind, signal.SIGINT)
    made = 1 + len(told)
    assert (status, out) == (-signal.SIGINT, [f"told of {told}", f"dropped {made} of {made}"])
    assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("wait", ["rust.block_on(waiting)", "rust.block_on_task(waits_for_ever)"])
def test_ctrl_c_ends_block_on_inside_of_a_running_loop(kind, wait):
    """In Jupyter the loop runs all the time: an interrupt ends the cell, and the loop continues.

    In the second case a task of the runtime awaits the blocked loop, so the cell would wait for ever.
    """
    status, out, err = signalled(
        f"""
        def waits_for_ever():
            waiting()
            return asyncio.sleep(0)

        async def cell():
            try:
                {wait}
            except KeyboardInterrupt:
                print("interrupted")
            return await rust.turns(3, "goes on")

        loop = asyncio.new_event_loop()
        # uvloop would handle the signal itself.
        loop.call_soon(signal.signal, signal.SIGINT, signal.default_int_handler)
        print(loop.run_until_complete(cell()))
        loop.close()
        """,
        kind,
        signal.SIGINT,
    )
    assert (status, out, err) == (0, ["interrupted", "goes on", "dropped 2 of 2"], "")


@pytest.mark.parametrize("wait", ["rust.block_on(waiting)", "rust.block_on_busy(waiting)"])
def test_an_exception_from_a_signal_handler_ends_block_on(kind, wait):
    status, out, err = signalled(
        f"""
        def end(number, frame):
            sys.exit(3)

        signal.signal(signal.SIGTERM, end)
        {wait}
        """,
        kind,
        signal.SIGTERM,
    )
    assert (status, out, err) == (3, ["dropped 1 of 1"], "")


def test_block_on_keeps_waiting_after_a_signal_handler_returns(kind):
    status, out, err = signalled(
        """
        signal.signal(signal.SIGTERM, lambda number, frame: waiting())
        try:
            rust.block_on(waiting)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        kind,
        signal.SIGTERM,
        signal.SIGTERM,
        signal.SIGINT,
    )
    assert (status, out, err) == (0, ["interrupted", "dropped 1 of 1"], "")


HANDLES = """
async def main():
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, terminated.set)
    rusts = [rust.never(), asyncio.ensure_future(rust.nap(3600)), asyncio.ensure_future(rust.wrap_sleep(3600))]
    await rust.turns(10, None)
    waiting()
    await terminated.wait()
    print("terminated")
    for future in rusts:
        future.cancel()
    print(len(await asyncio.gather(*rusts, return_exceptions=True)), "cancelled")

"""


@pytest.mark.parametrize("start", ["asyncio.run(main())", "rust.run_python(main)"])
def test_a_sigterm_handler_of_the_loop_works(kind, start):
    status, out, err = signalled(HANDLES + start, kind, signal.SIGTERM)
    assert (status, out[:2], err) == (0, ["terminated", "3 cancelled"], "")
    made, dropped = re.fullmatch(r"dropped (\d+) of (\d+)", out[2]).groups()
    assert made == dropped


class Terminal:
    """A Python process with its own terminal, which turns Ctrl-C into a signal."""

    # A shell lets what it runs in the background ignore Ctrl-C.
    LAUNCH = (
        "import fcntl, os, signal, sys, termios; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    PROMPT = ">>> "

    def __init__(self, *arguments):
        self.screen, tty = os.openpty()
        # Use the plain prompt, without colours and without line editing.
        variables = {**environment(), "TERM": "dumb", "PYTHON_BASIC_REPL": "1", "INPUTRC": os.devnull}
        launch = [sys.executable, "-c", self.LAUNCH, sys.executable, *arguments]
        self.process = subprocess.Popen(
            launch, stdin=tty, stdout=tty, stderr=tty, start_new_session=True, env=variables
        )
        os.close(tty)
        self.read_until(self.PROMPT)

    def read_until(self, text, may_sleep=False):
        """The output up to the text. Wakes a process that may sleep on a signal."""
        read = ""
        while not read.endswith(text):
            if not select.select([self.screen], [], [], 10 if may_sleep else 60)[0]:
                assert may_sleep, f"{text!r} does not come: {read}"
                may_sleep = False
                wake(self.process)
                continue
            try:
                some = os.read(self.screen, 1024)
            except OSError:  # The process has closed the terminal.
                some = b""
            if not some:
                raise AssertionError(f"{text!r} did not come: {read}")
            read += some.decode()
        return read

    def type(self, line, until=PROMPT):
        os.write(self.screen, line.encode() + b"\n")
        return self.read_until(until)

    def ctrl_c(self, may_sleep=False):
        os.write(self.screen, b"\x03")
        return self.read_until(self.PROMPT, may_sleep)

    def end(self):
        os.write(self.screen, b"exit()\n")
        try:
            while os.read(self.screen, 1024):
                pass
        except OSError:
            pass  # The process has ended.
        os.close(self.screen)
        return self.process.wait(timeout=120)


# The terminal echoes the input. Only the output contains the whole word.
DEFINE_WAITING = 'waiting = lambda: print("wait" + "ing!", end="", flush=True)'
# Since Python 3.14, a prompt that has seen Ctrl-C ends by a signal, with or without Rust.
ENDS_AFTER_CTRL_C = 0 if sys.version_info < (3, 14) else -signal.SIGINT
SEE_DROPPED = "rust.wait_until_live(0), rust.made() == rust.dropped()"


def test_ctrl_c_at_the_prompt_ends_a_long_await_and_the_prompt_comes_back(kind):
    terminal = Terminal("-i", "-q")
    terminal.type("import asyncio, pyo3_asyncio_pytests as rust")
    if kind == "uvloop":
        terminal.type("import uvloop, warnings; warnings.simplefilter('ignore'); uvloop.install()")
    terminal.type(DEFINE_WAITING)
    terminal.type("async def main(): asyncio.get_running_loop().call_soon(waiting); await rust.never()\n")
    for _ in range(2):
        terminal.type("asyncio.run(main())", until="waiting!")
        assert "KeyboardInterrupt" in terminal.ctrl_c(may_sleep=True)
        assert "(None, True)" in terminal.type(SEE_DROPPED)
    for wait in ["rust.block_on(waiting)", "rust.run(waiting)"]:
        terminal.type(wait, until="waiting!")
        assert "KeyboardInterrupt" in terminal.ctrl_c()
        assert "(None, True)" in terminal.type(SEE_DROPPED)
    assert terminal.end() == ENDS_AFTER_CTRL_C


def test_ctrl_c_at_the_prompt_of_asyncio_ends_a_long_await_and_the_loop_goes_on():
    terminal = Terminal("-m", "asyncio")
    terminal.type("import pyo3_asyncio_pytests as rust")
    terminal.type(DEFINE_WAITING)
    for wait in ["await rust.never()", "await rust.wrap_sleep(3600)"]:
        terminal.type(f"asyncio.get_running_loop().call_later(0.01, waiting); {wait}", until="waiting!")
        assert "KeyboardInterrupt" in terminal.ctrl_c(may_sleep=True)
        assert "5" in terminal.type("await rust.turns(3, 5)")
    assert "(None, True)" in terminal.type(f"import gc; gc.collect() and None; {SEE_DROPPED}")
    assert terminal.end() == 0

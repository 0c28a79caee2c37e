"""Mixes all operations of the bridge at random for some minutes, and checks that nothing is lost and nothing leaks.

A round is eight threads with a few loops each, of asyncio, uvloop and tokio. The seed alone determines the operations; the system
determines the order between threads. So a seed repeats the operations, and after some rounds usually the failure. The
environment variables of the tests choose the runtime and the doorbell.
"""

import argparse
import asyncio
import collections
import faulthandler
import gc
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

# The symbol tables of a backtrace need more memory than all the rest, and would hide a leak.
os.environ["RUST_BACKTRACE"] = "0"
sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))

import pyo3_asyncio_pytests as rust  # noqa: E402 (it is on the path above)
from leftovers import resident_bytes  # noqa: E402
from round import HELPERS, THREADS, Hangs, Round  # noqa: E402

# Rounds that fill the caches, and rounds whose memory is the baseline.
WARM_UP, MEASURED = 5, 10
# How many more blocks of Python, and bytes, later rounds may hold: in all, and for each round. asyncio's `wait_for` alone
# keeps up to eight blocks a round, without Rust. A leak of one block by each loop is 24 a round.
MORE_BLOCKS, MORE_BYTES = (2000, 10), (32 << 20, 4096)


def loops():
    kinds = {"asyncio": asyncio.new_event_loop}
    if hasattr(os, "fork"):
        kinds["tokio"] = rust.new_event_loop
    try:
        import uvloop
    except ImportError:
        return kinds
    return {**kinds, "uvloop": uvloop.new_event_loop}


class Terminal:
    """The real standard error. Keeps what is written to descriptor 2 meanwhile, which should be nothing."""

    def __init__(self):
        self._real = os.fdopen(os.dup(2), "w", buffering=1)
        self._kept = tempfile.TemporaryFile("w+", errors="replace")
        os.dup2(self._kept.fileno(), 2)
        self._line = False

    def fileno(self):
        return self._real.fileno()

    def close(self):
        self._real.close()
        self._kept.close()

    def say(self, text):
        self._real.write(("\r\033[K" if self._line else "") + text + "\n")
        self._line = False

    def progress(self, text):
        if self._real.isatty():
            self._real.write(f"\r\033[K{text}")
            self._real.flush()
            self._line = True

    def kept(self):
        """The text that was written to standard error."""
        sys.stderr.flush()
        self._kept.seek(0)
        return self._kept.read()


class Memory:
    """The memory of the process after each round."""

    def __init__(self):
        self.blocks, self.bytes = [], []

    def measure(self):
        self.blocks.append(sys.getallocatedblocks())
        self.bytes.append(resident_bytes())

    def findings(self):
        for name, held, (more, more_a_round) in (("blocks", self.blocks, MORE_BLOCKS), ("bytes", self.bytes, MORE_BYTES)):
            first, last = held[WARM_UP:][:MEASURED], held[WARM_UP:][MEASURED:][-MEASURED:]
            if len(last) == MEASURED and min(last) > max(first) + more + more_a_round * len(held):
                yield f"memory grows: at most {max(first)} {name} at first, at least {min(last)} now"

    def course(self):
        """The memory at five points of the run."""
        for name, held in (("blocks", self.blocks), ("bytes", self.bytes)):
            held = held[WARM_UP:] or held
            yield name, [held[(len(held) - 1) * quarter // 4] for quarter in range(5)]


def main():
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="how long to start new rounds")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)), help="the seed of an earlier run")
    parser.add_argument("--first-round", type=int, default=0, help="the number of the first round")
    parser.add_argument("--no-forks", action="store_true", help="do not fork children during a round")
    options = parser.parse_args()
    # Only tokio can start again in a child.
    tokio = os.environ.get("PYTESTS_RUNTIME", "tokio").startswith("tokio")
    options.forks = tokio and hasattr(os, "fork") and not options.no_forks
    raise SystemExit(stress(options, Terminal()))


def stress(options, terminal):
    terminal.say(f"seed {options.seed}, loops {', '.join(loops())}, Python {sys.version.split()[0]}")
    rust.count_panics()
    # Python warns about forks in a process with threads, which happen here on purpose.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
    # A loop closes its async generators in tasks, and an abandoned loop may have had no turn left for one. Since 3.13, Python
    # warns about the generator then, of whatever kind it is.
    warnings.filterwarnings("ignore", category=RuntimeWarning, message="coroutine method 'aclose' of 'rust_stream' was never awaited")
    start_background_loops()
    # Exclude the modules and the caches of a first round from each collection.
    Round(rust, loops(), "warm-up").run()
    gc.freeze()
    start, totals, memory, number = time.monotonic(), collections.Counter(), Memory(), options.first_round
    while time.monotonic() < start + options.minutes * 60:
        one = Round(rust, loops(), f"{options.seed}/{number}", options.forks)
        try:
            one.run()
        except Hangs as hang:
            terminal.say(f"round {number} hangs; again: --seed {options.seed} --first-round {number}")
            for waiting in hang.args:
                terminal.say(f"- waiting: {waiting}")
            faulthandler.dump_traceback(terminal.fileno())
            # The waiting threads cannot be ended.
            os._exit(1)
        memory.measure()
        findings = [*one.findings, *memory.findings()]
        if terminal.kept():
            findings.append(f"standard error is not empty:\n{terminal.kept()}")
        if findings:
            terminal.say(f"round {number} failed; again: --seed {options.seed} --first-round {number}")
            for finding in findings:
                terminal.say(f"- {finding}")
            return 1
        number += 1
        totals += one.totals
        took = time.monotonic() - start
        terminal.progress(f"{took / 60:.1f} of {options.minutes:g} min, {number} rounds, {sum(totals.values())} outcomes")
    summarize(terminal, totals, memory, number - options.first_round, time.monotonic() - start)
    return 0


def start_background_loops():
    """Starts as many as a round may need, because they stay."""

    async def nested(depth):
        return depth and rust.tokio.call_back_now(lambda: nested(depth - 1))

    # A thread may block each loop but one.
    rust.tokio.call_back_now(lambda: nested(THREADS + HELPERS))


def summarize(terminal, totals, memory, rounds, seconds):
    outcomes = collections.defaultdict(dict)
    for (kind, outcome), count in sorted(totals.items()):
        outcomes[kind][outcome] = count
    for kind, counts in outcomes.items():
        terminal.say(f"{kind:<24} " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    terminal.say(
        f"{rounds} rounds in {seconds:.0f} s: {sum(totals.values())} awaits with one outcome each; "
        f"{rust.made()} Rust futures were made and dropped; {rust.panics()} panics"
    )
    for name, held in memory.course():
        terminal.say(f"{name} held from the beginning to the end: {', '.join(map(str, held))}")


if __name__ == "__main__":
    main()

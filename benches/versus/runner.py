"""Starts the processes: the servers, and a fresh one for each measurement, turn about."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cases
import probes

HERE = Path(__file__).parent
BUILT = HERE / "target/release"


@dataclass(frozen=True)
class Scale:
    """How much one run does."""

    # Fresh processes for each case, side and loop, and for each probe.
    rounds: int
    probe_rounds: int
    # How long one measurement of a light case takes.
    seconds: float
    # The part that is done of what has a fixed size.
    share: float
    # Processes for the mix, rounds in each, and how long one case takes in it.
    mixes: int
    mix_rounds: int
    mix_seconds: float


FULL = Scale(rounds=5, probe_rounds=3, seconds=0.3, share=1.0, mixes=3, mix_rounds=3, mix_seconds=0.08)
QUICK = Scale(rounds=3, probe_rounds=1, seconds=0.12, share=0.1, mixes=2, mix_rounds=2, mix_seconds=0.03)


def say(text):
    start, end = ("\r\033[K", "") if sys.stderr.isatty() else ("", "\n")
    print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


@contextlib.contextmanager
def servers(names):
    """Starts those that are needed. Gives their ports."""
    start = {"echo": start_echo, "redis": start_redis}
    with contextlib.ExitStack() as stack:
        yield {name: start[name](stack) for name in names}


def start_echo(stack):
    process = start_process(stack, [BUILT / "echo"], stdout=subprocess.PIPE)
    return int(process.stdout.readline())


def start_redis(stack):
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit(
            "redis-server is not on the PATH, and the Redis cases need it: install it "
            "(on Debian and Ubuntu: `apt-get install redis-server`), or choose other cases with `--case`"
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = stack.enter_context(tempfile.TemporaryDirectory())
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
    process = start_process(stack, [program, *options], stdout=subprocess.DEVNULL)
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return port
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"`{program}` does not accept connections on 127.0.0.1:{port}: try `{program} --port {port}`")


def start_process(stack, command, **options):
    process = stack.enter_context(subprocess.Popen(command, **options))
    stack.callback(process.kill)
    return process


class Runner:
    """Measures on every side, in turn."""

    def __init__(self, sides, loop, ports, scale):
        self.sides = sides
        self.loop = loop
        self.ports = ports
        self.scale = scale

    def child(self, side, **arguments):
        arguments |= {"module": str(self.sides[side]), "loop": self.loop, "ports": self.ports}
        command = [sys.executable, str(HERE / "child.py"), json.dumps(arguments)]
        child = subprocess.run(command, stdout=subprocess.PIPE, timeout=300)
        if child.returncode != 0:
            raise SystemExit(f"a measurement of {side} ended with status {child.returncode}: {command[-1]}")
        return json.loads(child.stdout)

    def turns(self, rounds):
        """The sides begin a round in turn."""
        order = list(self.sides)
        for number in range(rounds):
            yield number + 1, order
            order = order[::-1]

    def alone(self, chosen):
        """Each case in processes of its own: {case: {side: [figures]}}."""
        results = {case.name: {} for case in chosen}
        for number, order in self.turns(self.scale.rounds):
            for case in chosen:
                if case.count and number > self.scale.probe_rounds:
                    continue
                say(f"{self.loop}, round {number} of {self.scale.rounds}: {case.name}")
                for side in order:
                    figures = self.child(
                        side, work="alone", case=case.name, seconds=self.scale.seconds, share=self.scale.share
                    )
                    if figures:
                        results[case.name].setdefault(side, []).append(figures)
        return {case: sides for case, sides in results.items() if sides}

    def probes(self, chosen):
        results = {name: {} for name in chosen}
        for number, order in self.turns(self.scale.probe_rounds):
            for name in chosen:
                say(f"{self.loop}, round {number} of {self.scale.probe_rounds}: {name}")
                for side in order:
                    figures = self.child(side, work="probe", name=name, share=self.scale.share)
                    results[name].setdefault(side, []).append(figures)
        return results

    def mix(self, chosen, alone, seed):
        """The cases in one process, in random order. `alone` tells how often each fits in its time."""
        results = {case.name: {} for case in chosen}
        for number, order in self.turns(self.scale.mixes):
            say(f"{self.loop}, mix {number} of {self.scale.mixes}")
            for side in order:
                counts = {case.name: self.mix_count(case, alone[case.name][side]) for case in chosen}
                figures = self.child(
                    side, work="mix", counts=counts, rounds=self.scale.mix_rounds, seed=seed + number
                )
                for case, samples in figures.items():
                    results[case].setdefault(side, []).extend(samples)
        return results

    def mix_count(self, case, samples):
        each = median(sample["wall"] for sample in samples) / 1e6
        return max(1, round(self.scale.mix_seconds / each / case.group)) * case.group


def sides_on(loop, sides):
    """The peer has no loop that runs tokio."""
    return {side: path for side, path in sides.items() if loop != "tokio" or side != "peer"}


def measure(sides, loops, scale, pattern, seed):
    """Everything whose name has `pattern` in it: {loop: {"alone": …, "probes": …, "mix": …}}."""
    matches = [case for case in cases.ALL if pattern.lower() in case.name.lower()]
    chosen_probes = [name for name in probes.PROBES if pattern.lower() in name.lower()]
    if not matches and not chosen_probes:
        raise SystemExit(f"no case has `{pattern}` in its name: `--list` shows them")
    results = {}
    loops = [loop for loop in loops if sides_on(loop, sides)]
    with servers({case.server for case in matches if case.server}) as ports:
        for loop in loops:
            runner = Runner(sides_on(loop, sides), loop, ports, scale)
            alone = runner.alone(matches)
            results[loop] = {"alone": alone, "probes": runner.probes(chosen_probes)}
            if not pattern:
                results[loop]["mix"] = runner.mix(cases.LIGHT, alone, seed)
    return results


def machine():
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def amount(scale):
    return f"{int(probes.SLEEPS * scale.share):,} sleeps, {int(cases.ITEMS * scale.share):,} items a stream"


def new_seed():
    return random.randrange(1_000_000)

"""Measures `examples/serve` against granian and uvicorn, with one worker each and the same application."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
WEBSOCKETS = HERE.parent / "versus/target/release/websockets"
CONNECTIONS = 64
IDLE = 1000

OURS = "-m serve {application} --port {port} --loop {loop} --log-level error"
GRANIAN = "-m granian {application} --interface asgi --port {port} --loop {loop} --workers 1 --log-level error"
UVICORN = "-m uvicorn {application} --port {port} --loop {loop} --http httptools --ws websockets-sansio --log-level error --no-access-log"
SERVERS = {
    "serve, one thread": OURS.replace("{loop}", "tokio"),
    "serve": OURS.replace("{loop}", "asyncio"),
    "granian": GRANIAN.replace("{loop}", "asyncio"),
    "uvicorn": UVICORN.replace("{loop}", "asyncio"),
    "serve, uvloop": OURS.replace("{loop}", "uvloop"),
    "granian, uvloop": GRANIAN.replace("{loop}", "uvloop"),
    "uvicorn, uvloop": UVICORN.replace("{loop}", "uvloop"),
}


@dataclass(frozen=True)
class Case:
    name: str
    application: str
    path: str
    method: str = "GET"
    length: int = 0

    def client(self, port, seconds):
        if self.method == "WEBSOCKET":
            return [WEBSOCKETS, str(port), self.path, str(CONNECTIONS), str(seconds)]
        wrk = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--script", HERE / "wrk.lua"]
        return [*wrk, f"http://127.0.0.1:{port}{self.path}", "--", self.method, str(self.length)]


CASES = [
    Case("bytes, no framework", "application:bare", "/"),
    Case("JSON, Starlette", "application:starlette", "/json"),
    Case("one parameter, FastAPI", "application:fastapi", "/items/7"),
    Case("POST of 64 KiB, echoed", "application:bare", "/echo", "POST", 64 * 1024),
    Case("100 chunks of 1 KiB", "application:bare", "/chunks"),
    Case("WebSocket, echoed", "application:bare", "/ws", "WEBSOCKET"),
]


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask bench serve", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of one second")
    parser.add_argument("--case", metavar="SUBSTRING", default="", help="only cases with this in their name, and no memory")
    parser.add_argument("--server", metavar="SUBSTRING", default="", help="only servers with this in their name")
    arguments = parser.parse_args()
    rounds, seconds = (2, 1) if arguments.quick else (5, 5)
    servers = {name: line for name, line in SERVERS.items() if arguments.server in name}
    print(f"{machine()}; {CONNECTIONS} connections, {rounds} rounds of {seconds} s, median (least–most)")
    for case in CASES:
        if arguments.case.lower() in case.name.lower():
            print(f"\n### {case.name}\n")
            print("\n".join(table(measure(case, servers, rounds, seconds))), flush=True)
    if not arguments.case:
        print(f"\n### {IDLE:,} idle connections\n")
        print("| server | MiB before | KiB for each |\n| --- | ---: | ---: |")
        for name, line in servers.items():
            print(f"| {name} | {idle(line)} |", flush=True)


def measure(case, servers, rounds, seconds):
    """The figures of each server: every round measures all, and the next one begins at the other end."""
    results = {name: [] for name in servers}
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(start(line, case.application)) for name, line in servers.items()}
        for process, port in running.values():
            run(case, process, port, min(seconds, 1))
        order = list(running)
        for _ in range(rounds):
            for name in order:
                results[name].append(run(case, *running[name], seconds))
            order.reverse()
    return results


def run(case, process, port, seconds):
    before = cpu(process.pid)
    client = subprocess.run(case.client(port, seconds), stdout=subprocess.PIPE, check=True)
    used = cpu(process.pid) - before
    figures = json.loads(client.stdout.splitlines()[-1])
    if figures["failed"] or not figures["count"]:
        raise SystemExit(f"{case.name}: requests failed: {figures}, {process.args}")
    return {
        "requests/s": figures["count"] / figures["seconds"],
        "p50, ms": figures["p50"] / 1e3,
        "p99, ms": figures["p99"] / 1e3,
        "µs of CPU": used / figures["count"] * 1e6,
    }


def idle(line):
    with start(line, "application:bare") as (process, port), contextlib.ExitStack() as stack:
        # Each has had one request.
        def ask():
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            while not client.recv(4096).endswith(b"hello, world"):
                pass

        ask()
        before = memory(process.pid)
        for _ in range(IDLE):
            ask()
        return f"{before / 1024:.1f} | {(memory(process.pid) - before) / IDLE:.1f}"


@contextlib.contextmanager
def start(line, application):
    """A server that answers, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, *line.format(application=application, port=port).split()]
    # Some complain when the client ends a measurement in the middle of a response: what they say is shown if they do not start.
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, cwd=HERE, stdout=said, stderr=said) as process:
        try:
            for _ in range(1000):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                if process.poll() is not None:
                    said.seek(0)
                    raise SystemExit(f"{said.read()}ended with {process.returncode}: {' '.join(command)}")
                time.sleep(0.02)
            yield process, port
        finally:
            process.terminate()


def processes(pid):
    """A process and those that it has started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes(int(child))


def cpu(pid):
    """The seconds that they have computed."""
    seconds = 0
    for each in processes(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def memory(pid):
    """What they alone have in memory, in KiB."""
    rollups = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in processes(pid)]
    return sum(int(line.split()[1]) for rollup in rollups for line in rollup.splitlines() if line.startswith("Pss:"))


def table(results):
    figures = list(next(iter(results.values()))[0])
    yield "| server | " + " | ".join(figures) + " |"
    yield "| --- |" + " ---: |" * len(figures)
    for name, samples in results.items():
        yield f"| {name} | " + " | ".join(spread([sample[figure] for sample in samples]) for figure in figures) + " |"


def spread(values):
    return f"{short(median(values))} ({short(min(values))}–{short(max(values))})"


def short(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine():
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()

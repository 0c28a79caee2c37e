"""Searches the standard library of the Python that runs it, twice in Rust and then in Python, and compares."""

import argparse
import asyncio
import contextlib
import re
import sys
import sysconfig
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

import scan
import scan.threads

# The directories of installed packages are inside that of the standard library.
SKIP = frozenset({"site-packages", "dist-packages"})
MODULES_SHOWN = 10
SAMPLES_SHOWN = 2


def main():
    arguments = parse(sys.argv[1:])
    try:
        return runner(arguments.loop)(program(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def parse(words):
    parser = argparse.ArgumentParser(prog="python -m scan", description=__doc__)
    parser.add_argument("pattern", nargs="?", type=pattern, default=r"\basync def \w+", help="default: %(default)s")
    parser.add_argument("--root", default=sysconfig.get_path("stdlib"), help="the directory to search: %(default)s")
    parser.add_argument("--suffix", default=".py", help="how the names of the files end, default: %(default)s")
    parser.add_argument("--all", action="store_true", help="print every match")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="the event loop")
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=sys.stderr.isatty(),
        help="show a bar on standard error, which is done anyway where that is a terminal",
    )
    return parser.parse_args(words)


def pattern(text):
    try:
        re.compile(text.encode())
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression to Python: {error}") from None
    return text


def runner(loop):
    if loop == "asyncio":
        return asyncio.run
    import uvloop

    return uvloop.run


async def program(arguments):
    out = Console(highlight=False, markup=False, soft_wrap=True)
    out.print(f"searching {arguments.root} for {arguments.pattern}")
    # Rust goes first: if the files have to come from the disk, it is Rust that waits for them.
    outcomes = [
        await measure("Rust, async for", scan.scan, by_iterating, arguments),
        await measure("Rust, callbacks", scan.scan, by_callbacks, arguments),
        await measure("Python's threads", scan.threads.Scan, by_callbacks, arguments),
    ]
    found = outcomes[0].matches
    if arguments.all:
        for match in found:
            out.print(f"{match.path}:{match.line}: {match.text}")
    else:
        out.print(table(found, Path(arguments.root)))
    report(outcomes, out)
    return 0 if same(outcomes) else 1


async def by_iterating(scanning, matches):
    async for match in scanning:
        matches.append(match)


async def by_callbacks(scanning, matches):
    async def on_match(match):
        matches.append(match)

    await scanning.each(on_match)


@dataclass
class Outcome:
    title: str
    progress: object
    matches: list = field(default_factory=list)
    seconds: float = 0.0


async def measure(title, make, search, arguments):
    try:
        scanning = make(arguments.root, arguments.pattern, suffix=arguments.suffix, skip=SKIP)
        outcome = Outcome(title, scanning.progress)
        async with progress_bar(title, scanning.progress, arguments.progress):
            started = time.perf_counter()
            await search(scanning, outcome.matches)
            outcome.seconds = time.perf_counter() - started
    except (OSError, ValueError) as error:
        print(f"scan: {error}", file=sys.stderr)
        sys.exit(2)
    outcome.matches.sort()
    return outcome


@contextlib.asynccontextmanager
async def progress_bar(title, progress, shown):
    """Shows the progress on standard error, from a task of the same loop that the matches come to."""
    if not shown:
        yield
        return

    columns = (
        TextColumn("{task.description:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[matches]} matches"),
        TimeElapsedColumn(),
    )
    bars = Bars(*columns, console=Console(stderr=True), auto_refresh=False)
    task_id = bars.add_task(title, total=None, matches=0)

    def update():
        bars.update(task_id, total=progress.files_found, completed=progress.files_done, matches=progress.matches)
        bars.refresh()

    async def keep_updating():
        while True:
            update()
            await asyncio.sleep(0.05)

    with bars:
        updating = asyncio.create_task(keep_updating())
        try:
            yield
        finally:
            updating.cancel()
            update()


def table(matches, root):
    modules = defaultdict(list)
    for match in matches:
        modules[module_name(match.path.relative_to(root))].append(match)
    most = sorted(modules.items(), key=lambda item: (-len(item[1]), item[0]))

    result = Table(box=box.SIMPLE, expand=True)
    result.add_column("matches", justify="right")
    result.add_column("module", no_wrap=True)
    result.add_column("for example", no_wrap=True, overflow="ellipsis", ratio=1)
    for name, found in most[:MODULES_SHOWN]:
        samples = (f"{match.line}: {match.text.strip()}" for match in found[:SAMPLES_SHOWN])
        result.add_row(str(len(found)), name, Text("\n".join(samples)))
    others = most[MODULES_SHOWN:]
    if others:
        count = sum(len(found) for _, found in others)
        result.add_row(str(count), f"{len(others)} other modules", "--all prints every match")
    return result


def module_name(path):
    parts = path.with_suffix("").parts if path.suffix == ".py" else path.parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def report(outcomes, out):
    progress = outcomes[0].progress
    out.print(f"{progress.files_done} files, {progress.matches} matches")
    for path, reason in progress.unreadable:
        out.print(f"not searched: {path}: {reason}")
    if progress.undecodable:
        out.print(f"{len(progress.undecodable)} of the files are not UTF-8; they were searched as bytes")
    for outcome in outcomes:
        out.print(f"{outcome.title:16} {outcome.seconds:7.3f} s")


def same(outcomes):
    """Whether all searches found the same; says on standard error what only one of two found."""
    differences = [difference for other in outcomes[1:] for difference in compare(outcomes[0], other)]
    for difference in differences:
        print(difference, file=sys.stderr)
    return not differences


def compare(one, other):
    for here, there in ((one, other), (other, one)):
        for match in sorted(set(here.matches) - set(there.matches)):
            yield f"{here.title} found {match!r}, and {there.title} did not"
    if len(one.matches) != len(other.matches) or one.progress.files_done != other.progress.files_done:
        yield f"the numbers of files or matches differ: {one.progress}, {other.progress}"


if __name__ == "__main__":
    sys.exit(main())

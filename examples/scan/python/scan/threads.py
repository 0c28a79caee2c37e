"""The same search in Python alone: asyncio, and its pool of threads."""

import asyncio
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from . import Match


@dataclass
class Progress:
    """What `scan.Progress` is for `scan.scan`."""

    files_found: int = 0
    files_done: int = 0
    matches: int = 0
    unreadable: list = field(default_factory=list)
    undecodable: list = field(default_factory=list)


class Scan:
    """Finds what a `scan.Scan` finds."""

    def __init__(self, root, pattern, *, suffix="", skip=frozenset(), concurrency=16):
        self.progress = Progress()
        self.pattern = re.compile(pattern.encode())
        self.where = root, suffix, skip, self.progress
        self.concurrency = concurrency

    async def each(self, on_match):
        paths = iter(await asyncio.to_thread(walk, *self.where))

        async def worker():
            for path in paths:
                for match in await asyncio.to_thread(matches_in, path, self.pattern, self.progress):
                    await on_match(match)
                    self.progress.matches += 1
                self.progress.files_done += 1

        await asyncio.gather(*(worker() for _ in range(self.concurrency)))


def walk(root, suffix, skip, progress):
    def unreadable(error):
        progress.unreadable.append((Path(error.filename), error.strerror))

    paths = []
    for directory, subdirectories, files in os.walk(root, onerror=unreadable):
        subdirectories[:] = [name for name in subdirectories if name not in skip]
        for path in (os.path.join(directory, name) for name in files if name.endswith(suffix)):
            if os.path.isfile(path) and not os.path.islink(path):
                paths.append(path)
                progress.files_found += 1
    return paths


def matches_in(path, compiled, progress):
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        progress.unreadable.append((Path(path), error.strerror))
        return []
    try:
        data.decode()
    except UnicodeDecodeError:
        progress.undecodable.append(Path(path))
    found = []
    line = 1
    counted = 0
    for match in compiled.finditer(data):
        line += data.count(b"\n", counted, match.start())
        counted = match.start()
        found.append(Match(path, line, match.start(), match.end(), line_around(data, match.start())))
    return found


def line_around(data, position):
    start = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", position)
    line = data[start:] if end < 0 else data[start:end]
    return (line[:-1] if line.endswith(b"\r") else line).decode(errors="replace")

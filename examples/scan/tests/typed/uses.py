"""Checks the types of the package. A type checker reads this file; it never runs."""

from pathlib import Path

import scan
from typing_extensions import assert_type


async def iterates() -> None:
    scanning = scan.scan(Path(), r"\bfn \w+", suffix=".rs", skip={"target"}, concurrency=4)
    assert_type(scanning, scan.Scan)
    assert_type(scanning.progress.files_done, int)
    async for match in scanning:
        assert_type(match, scan.Match)
        assert_type(match.path, Path)
    async with scan.scan(".", "pattern") as matches:
        assert_type([match.line async for match in matches], "list[int]")
    assert_type(await scan.matches_in("file", "pattern"), "list[scan.Match]")
    # A line with nothing to ignore is an error itself.
    scan.scan(".", b"pattern")  # type: ignore[arg-type]
    scan.scan(".", "pattern", suffixes=".rs")  # type: ignore[call-arg]
    scan.matches_in("file", "pattern")  # type: ignore[unused-coroutine]
    for match in scanning:  # type: ignore[attr-defined]
        pass


async def calls_back() -> None:
    async def on_match(match: scan.Match) -> None:
        print(match.text)

    scanning = scan.scan(".", "pattern")
    await scanning.each(on_match)
    await scanning.each(print)  # type: ignore[arg-type]

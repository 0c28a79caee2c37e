import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import final

__all__ = ["Match", "Progress", "Scan", "matches_in", "scan"]

def scan(
    root: str | os.PathLike[str],
    pattern: str,
    *,
    suffix: str = "",
    skip: AbstractSet[str] = ...,
    concurrency: int = 16,
) -> Scan:
    r"""Searches the files below ``root`` for ``pattern``.

    Nothing runs before the scan that this returns is awaited, in one of these ways::

        async for match in scan(root, pattern): ...

        async with scan(root, pattern) as matches:
            async for match in matches: ...

        await scan(root, pattern).each(on_match)

    suffix: only files whose names end so are searched.
    skip: the names of directories that are not entered.
    concurrency: as many files at most are searched at once, and kept until their matches were given.

    The pattern is matched on bytes: ``\w``, ``\b``, ``\d`` and ``\s`` mean ASCII, and no file is passed over
    for its encoding. It is written in the syntax of Rust's ``regex``, which finds what ``re`` finds on bytes, but
    for these: there are no look-arounds and no back-references; ``$`` is the end of the file only, not before a
    newline at its end as well (``(?m)$`` is the same in both); an empty match is not reported where another
    match has just ended; ``&&``, ``--``, ``~~`` and ``[`` are operators in a character class; and characters
    beyond ASCII stand for their UTF-8 bytes, as one unit to ``*``, but not in a character class.

    Symbolic links are not followed. Files and directories that cannot be read are listed in the progress.

    ValueError, from the call: the pattern is wrong (the message shows where), or ``concurrency`` is 0.
    FileNotFoundError, NotADirectoryError, PermissionError, from the first ``await``: ``root`` cannot be listed.
    """

async def matches_in(path: str | os.PathLike[str], pattern: str) -> list[Match]:
    """The matches in one file.

    ValueError, from the call: the pattern is wrong.
    OSError, from the ``await``: the file cannot be read.
    """

@final
class Scan:
    """A search. It runs once, and stops where nobody has a use for it any more.

    The end of an ``async with`` stops it, and so does ``break``, the end of the generator of its matches, and the
    cancellation of the task that waits for one. Then the walk stops, and so do the threads that search, which look for
    one match, or read one file, to the end.
    """

    @property
    def progress(self) -> Progress:
        """How far the search has come."""
    def __aiter__(self) -> AsyncGenerator[Match, None]:
        """The matches. Those of a file come together and in their order; the files in any order.

        Matches that are found already come to Python together. No more than ``concurrency`` files, and 128 matches, are
        read ahead.

        RuntimeError: the scan has begun already.
        """
    async def each(self, on_match: Callable[[Match], Awaitable[object]]) -> None:
        """Awaits ``on_match(match)`` for every match.

        For the matches of one file it is called in their order, each when the one before is through; for those
        of different files it runs at the same time. While ``concurrency`` callbacks are waiting, nothing more is read.
        Cancel this, and the callbacks are cancelled. An exception that one raises ends the search, and is raised here.

        RuntimeError: the scan has begun already.
        """
    async def __aenter__(self) -> Scan:
        """The scan, if ``root`` can be listed."""
    async def __aexit__(self, *_exception: object) -> None:
        """Stops the search. For a task that waits for a match, this is the end of the matches."""

@final
class Match:
    """A place that the pattern matches. Matches are ordered by where they are."""

    def __new__(cls, path: str | os.PathLike[str], line: int, start: int, end: int, text: str) -> Match: ...
    @property
    def path(self) -> Path:
        """The file."""
    @property
    def line(self) -> int:
        """The number of the line that the match begins on; the first is 1."""
    @property
    def start(self) -> int:
        """Where in the file the match begins, in bytes."""
    @property
    def end(self) -> int:
        """Where in the file the match ends, in bytes."""
    @property
    def text(self) -> str:
        """The line that the match begins on, decoded as UTF-8 with replacement characters."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Match, /) -> bool: ...
    def __le__(self, other: Match, /) -> bool: ...
    def __gt__(self, other: Match, /) -> bool: ...
    def __ge__(self, other: Match, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Progress:
    """How far a search has come. It may be read at any time, from any thread."""

    @property
    def files_found(self) -> int:
        """The files that the walk has come to; the number of all once the walk is over."""
    @property
    def files_done(self) -> int:
        """The files that nothing is left to do for."""
    @property
    def matches(self) -> int:
        """The matches that are on their way to Python or there, or that the callback is through with."""
    @property
    def unreadable(self) -> list[tuple[Path, str]]:
        """The files and directories that could not be read, each with the reason."""
    @property
    def undecodable(self) -> list[Path]:
        """The files that are not UTF-8. They were searched like all others."""

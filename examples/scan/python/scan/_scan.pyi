import asyncio
import os
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import final

__all__ = ["Match", "Progress", "search"]

def search(
    root: str | os.PathLike[str],
    pattern: str,
    on_match: Callable[[Match], Awaitable[object]],
    *,
    suffix: str = "",
    skip: AbstractSet[str] = ...,
    concurrency: int = 16,
    progress: Progress | None = None,
) -> asyncio.Future[Progress]:
    r"""Searches the files below ``root`` for ``pattern``, and awaits ``on_match(match)`` for every match.

    The search starts at once and gives ``progress``, then complete; pass one to watch the search with.
    Cancel the future, and the search stops: the walk, the reading, and the callbacks that are being awaited.

    suffix: only files whose names end so are searched.
    skip: the names of directories that are not entered.
    concurrency: as many files at most are searched at once. The callback is called for the matches of one
        file in their order, each when the one before is through; for those of different files it runs at
        the same time. While ``concurrency`` callbacks are waiting, nothing more is read.

    The pattern is matched on bytes: ``\w``, ``\b``, ``\d`` and ``\s`` mean ASCII, and no file is passed over
    for its encoding. It is written in the syntax of Rust's ``regex``, which finds what ``re`` finds on bytes, but
    for these: there are no look-arounds and no back-references; ``$`` is the end of the file only, not before a
    newline at its end as well (``(?m)$`` is the same in both); an empty match is not reported where another
    match has just ended; ``&&``, ``--``, ``~~`` and ``[`` are operators in a character class; and characters
    beyond ASCII stand for their UTF-8 bytes, as one unit to ``*``, but not in a character class.

    Symbolic links are not followed. Files and directories that cannot be read are listed in the progress.

    ValueError: the pattern is wrong (the message shows where), or ``concurrency`` is 0.
    FileNotFoundError, NotADirectoryError, PermissionError: ``root`` cannot be listed.
    An exception that ``on_match`` raises ends the search, and is raised here.
    """

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

    def __new__(cls) -> Progress: ...
    @property
    def files_found(self) -> int:
        """The files that the walk has come to; the number of all once the walk is over."""
    @property
    def files_done(self) -> int:
        """The files that nothing is left to do for."""
    @property
    def matches(self) -> int:
        """The matches that the callback is through with."""
    @property
    def unreadable(self) -> list[tuple[Path, str]]:
        """The files and directories that could not be read, each with the reason."""
    @property
    def undecodable(self) -> list[Path]:
        """The files that are not UTF-8. They were searched like all others."""

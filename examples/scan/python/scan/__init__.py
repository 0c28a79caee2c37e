"""A directory tree is searched for a regular expression by Rust, on tokio, and an async function hears of every match."""

from ._scan import Match, Progress, search

__all__ = ["Match", "Progress", "search"]

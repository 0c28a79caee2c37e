"""A directory tree is searched for a regular expression by Rust, on tokio, and async Python gets the matches."""

from ._scan import Match, Progress, Scan, matches_in, scan

__all__ = ["Match", "Progress", "Scan", "matches_in", "scan"]

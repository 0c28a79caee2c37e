"""Helpers that the tests share."""

import asyncio
import gc
import weakref

import scan

try:
    import uvloop
except ImportError:
    LOOPS = {"asyncio": asyncio.run}
else:
    LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}

# A test that would wait for ever fails after this time. No other test waits so long.
PATIENCE = 60

# Two files that are searched at once, and one that takes longer than any test waits: for each of its letters, the search
# reads the rest of the file.
SLOW = {"one": b"needle", "two": b"needle", "slow": b"a" * 1_000_000}
SLOW_PATTERN = "a[^b]*b|a|needle"


def plant(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


async def until(holds):
    while not holds():
        await asyncio.sleep(0)


def last_of(scanning):
    """Returns a function that waits for the end of a scan: everything that runs for it holds its progress."""
    gone = asyncio.Event()
    weakref.finalize(scanning.progress, asyncio.get_running_loop().call_soon_threadsafe, gone.set)

    async def wait():
        while not gone.is_set():
            # A failed task refers to the frames of its exception.
            gc.collect()
            # PyO3 releases a reference that a detached Rust thread dropped at the next call into Rust.
            repr(scan.Match("", 0, 0, 0, ""))
            await asyncio.sleep(0)

    return wait


def by_callbacks(scanning, matches):
    async def on_match(match):
        matches.append(match)

    return scanning.each(on_match)


async def by_iterating(scanning, matches):
    async for match in scanning:
        matches.append(match)


async def within(scanning, matches):
    async with scanning as entered:
        assert entered is scanning
        await by_iterating(entered, matches)


WAYS = [by_callbacks, by_iterating, within]

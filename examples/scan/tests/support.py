"""What the tests have in common."""

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

# No test waits this long; one that would wait for ever fails instead.
PATIENCE = 60

# Two files that are searched at once, and one that takes longer than anyone waits: for each of its letters, the rest of
# the file is searched for the other one.
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
    """A function that waits until nothing of a scan is left: whatever runs for it holds its progress."""
    gone = asyncio.Event()
    weakref.finalize(scanning.progress, asyncio.get_running_loop().call_soon_threadsafe, gone.set)

    async def wait():
        while not gone.is_set():
            # A task that failed refers to the frames that its exception came through.
            gc.collect()
            # A reference that Rust drops on a thread of its own is given back when Python next calls into it.
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

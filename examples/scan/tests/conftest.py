import asyncio
import os

import pytest
from support import LOOPS, PATIENCE, plant


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine as `asyncio.run` does."""

    async def patiently(awaitable):
        return await asyncio.wait_for(awaitable, PATIENCE)

    return lambda awaitable: LOOPS[request.param](patiently(awaitable))


@pytest.fixture(params=LOOPS)
def loop(request):
    """The `--loop` argument for `python -m scan`."""
    return request.param


@pytest.fixture
def tree(tmp_path):
    """Files of all sorts."""
    plant(
        tmp_path,
        {
            "empty.txt": b"",
            "first_byte.txt": b"needle and needle\nno more\n",
            "last_byte.txt": b"\n\nthe last line has no newline: needle",
            "windows.txt": b"one\r\ntwo needle\r\n\r\nneedle\r\n",
            "old_mac.txt": b"one\rneedle\rtwo",
            "latin_1.txt": "caf\xe9: needle, needle\xe9, \xe9needle\n".encode("latin-1"),
            "greek.txt": "βελόνα needleα\nαneedle needle\n".encode(),
            "binary.txt": bytes(range(256)) + b"needle" + bytes(range(256)),
            "across.txt": b"begin\nend\nbegin end\n",
            "deep/er/still.txt": b"needle\n" * 300,
            "deep/other.md": b"needle\n",
            "deep/skipped/lost.txt": b"needle\n",
            "skipped/lost.txt": b"needle\n",
            "skipped.txt": b"needle\n",
        },
    )
    plant(tmp_path, {os.fsdecode(b"not-utf-8-\xff.txt"): b"needle\n"})
    (tmp_path / "link.txt").symlink_to(tmp_path / "first_byte.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "deep")
    return tmp_path


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """More files than the walk may be ahead, each with a match."""
    return plant(tmp_path_factory.mktemp("large"), {f"{number}": b"needle" for number in range(4500)})

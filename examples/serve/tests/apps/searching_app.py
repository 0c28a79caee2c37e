"""The application of the page, on a directory that the test names, with a count of the searches that run."""

import gc
import os

import scan
from common import around, respond
from searching import make

searching = make(os.environ["SEARCHED"])


async def count(scope, receive, send):
    if scope["path"] == "/running":
        # A cancelled task refers to the frames of its exception.
        gc.collect()
        # PyO3 releases a reference that a detached Rust thread dropped at the next call into Rust.
        repr(scan.Match("", 0, 0, 0, ""))
        await respond(send, str(len(searching.state.searches.running)).encode())
    else:
        await searching(scope, receive, send)


application = around(count)

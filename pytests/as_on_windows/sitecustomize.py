"""Takes from a Python on unix what a Python on Windows has not, in every program that finds this file.

    PYTHONPATH=pytests/as_on_windows python -m pytest pytests

There is no fork and no uvloop. A loop watches no descriptors, as the proactor loop, and no signals.
"""

import os
import sys

for name in ("fork", "forkpty", "register_at_fork"):
    delattr(os, name)

# An import of this name fails.
sys.modules["uvloop"] = None

import asyncio  # noqa: E402, as it looks for `register_at_fork`


def refuse(self, *args):
    raise NotImplementedError


for name in ("add_reader", "remove_reader", "add_writer", "remove_writer", "add_signal_handler", "remove_signal_handler"):
    setattr(asyncio.SelectorEventLoop, name, refuse)

"""The kinds of machines, and the inputs that are kept for each."""

import importlib
from pathlib import Path

FILES = {file.stem: file for file in (Path(__file__).parent / "corpus").glob("*.txt")}


def module(kind):
    """What has the operations of a kind."""
    return importlib.import_module(kind)


def read(kind):
    """The inputs of a kind: one a line, in hexadecimal, with the reason behind it."""
    inputs = [line.partition("#")[0].strip() for line in FILES[kind].read_text().splitlines()]
    return [bytes.fromhex(data) for data in inputs if data]

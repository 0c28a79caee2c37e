"""The kinds of machines, and the corpus of each."""

import importlib
from pathlib import Path

FILES = {file.stem: file for file in (Path(__file__).parent / "corpus").glob("*.txt")}


def module(kind):
    """The module with the operations of a kind."""
    return importlib.import_module(kind)


def read(kind):
    """The inputs of a kind: one a line, in hexadecimal, followed by the reason."""
    inputs = [line.partition("#")[0].strip() for line in FILES[kind].read_text().splitlines()]
    return [bytes.fromhex(data) for data in inputs if data]

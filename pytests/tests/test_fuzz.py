"""The inputs of the corpus still pass, and the fuzzer finds a difference."""

import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
sys.path.append(str(FUZZ))

KINDS = [file.stem for file in (FUZZ / "corpus").iterdir()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_and_a_thousand_inputs_show_no_difference(kind, rust, loop, complaints, capfd):
    from kinds import module, read
    from driver import Fuzzer
    from machine import Machine

    fuzzer = Fuzzer(Machine(module(kind), rust, loop), read(kind), random.Random(1))
    while fuzzer.played < 1000:
        fuzzer.step()
    # Rust's panic hook prints.
    capfd.readouterr()
    assert len(fuzzer.inputs) > 100


class Counts:
    """Counts up to a limit."""

    def __init__(self, last):
        self.number, self.last = 0, last

    def one_more(self):
        self.number = min(self.number + 1, self.last)
        return self.number


async def play(counts, operations):
    return [(*operation, counts.one_more() if operation[0] == "count" else None) for operation in operations]


def test_a_difference_is_found_and_minimized(rust, loop):
    from driver import Fuzzer
    from machine import Difference, Machine

    operations = [("count", None), *(("rest", number) for number in range(9))]
    subjects = (lambda rust: Counts(4)), (lambda rust: Counts(5))
    machine = Machine(SimpleNamespace(OPERATIONS=operations, SUBJECTS=subjects, play=play), rust, loop)
    fuzzer = Fuzzer(machine, [], random.Random(1))
    with pytest.raises(Difference, match="gave\n    5, expected\n    4") as found:
        for _ in range(100_000):
            fuzzer.step()
    assert machine.decode(found.value.data) == [("count", None)] * 5

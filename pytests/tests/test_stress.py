"""The stress program finds planted faults, and reports nothing without one."""

import os
import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from conftest import LOOPS

STRESS = Path(__file__).parents[1] / "stress"
sys.path.append(str(STRESS))


@pytest.fixture
def stress(monkeypatch):
    """Runs a round, of all operations or of one, and returns it."""
    import desk
    import round

    def stress(rust, operation=None):
        if operation is not None:
            monkeypatch.setattr(desk, "choose_operation", lambda choose: operation)
            monkeypatch.setattr(round, "THREADS", 1)
            monkeypatch.setattr(round, "LOOPS_PER_THREAD", 1)
            monkeypatch.setattr(round, "OPERATIONS_PER_LOOP", 1)
        one = round.Round(rust, LOOPS, "a seed with a loop that is served")
        one.run()
        return one

    return stress


@pytest.fixture
def stress_program(monkeypatch):
    """The module of the program, without running it."""
    monkeypatch.setenv("RUST_BACKTRACE", "0")
    program = spec_from_file_location("stress_program", STRESS / "__main__.py")
    module = module_from_spec(program)
    program.loader.exec_module(module)
    return module


# From Python 3.13 on, for a generator that an abandoned loop closes no more. The program ignores it too.
@pytest.mark.filterwarnings("ignore:coroutine method 'aclose' of 'rust_stream' was never awaited:RuntimeWarning")
def test_a_round_has_no_findings_and_sees_every_outcome(stress, rust, capfd):
    one = stress(rust)
    # Rust's panic hook prints.
    capfd.readouterr()
    assert one.findings == []
    assert {"value", "cancelled", "error", "panic", "destroyed"} <= {outcome for _, outcome in one.totals}


async def no_outcome(desk, choose):
    desk.account.open("planted")


async def two_outcomes(desk, choose):
    ticket = desk.account.open("planted")
    for _ in range(2):
        desk.close(ticket, "value", {"value"})


async def a_wrong_outcome(desk, choose):
    await desk.wait("planted", desk.rust.turns(0, 1), {"cancelled"}, (1,))


async def a_wrong_value(desk, choose):
    await desk.wait("planted", desk.rust.turns(0, 1), {"value"}, (2,))


async def an_unretrieved_error(desk, choose):
    desk.loop.create_future().set_exception(LookupError("planted"))


async def an_error_in_a_helper_thread(desk, choose):
    desk.workshop.do(lambda: 1 / 0)


class Unraisable:
    def __del__(self):
        raise LookupError("planted")


async def an_unraisable_error(desk, choose):
    Unraisable()


@pytest.mark.parametrize(
    "planted, found",
    [
        (no_outcome, "`planted` got 0 outcomes instead of one"),
        (two_outcomes, "`planted` got 2 outcomes instead of one"),
        (a_wrong_outcome, "`planted` ended with 'value', which it cannot"),
        (a_wrong_value, "`planted` ended with 'the wrong value 1', which it cannot"),
        (an_unretrieved_error, "a loop's handler was told"),
        (an_error_in_a_helper_thread, "a helper thread ended a job with ZeroDivisionError"),
        (an_unraisable_error, "unraisable: "),
    ],
)
def test_a_planted_fault_is_found(stress, rust, planted, found):
    findings = stress(rust, planted).findings
    assert len(findings) == 1 and findings[0].startswith(found)


def test_leaked_resources_are_found(stress, rust, monkeypatch):
    import round
    from desk import Parcel

    left, ends = [], threading.Event()

    async def leave(desk, choose):
        # Start more threads than the runtime may end meanwhile: its blocking pool shrinks.
        waiting = [threading.Thread(target=ends.wait) for _ in range(20)]
        for thread in waiting:
            thread.start()
        left.extend([Parcel(), *os.pipe(), *waiting])

    monkeypatch.setattr(round, "eventually", lambda is_true: is_true())
    findings = stress(rust, leave).findings
    ends.set()
    _, first, second, *waiting = left
    for thread in waiting:
        thread.join()
    for end in first, second:
        os.close(end)
    assert [finding.split("{")[0].split(" of ")[0] for finding in findings] == [
        "descriptors are left: ",
        findings[1].split(" of ")[0],
        "objects are left: ",
    ]
    assert "threads are left" in findings[1]


@pytest.mark.parametrize("grows, found", [(lambda round: 0, 0), (lambda round: 100 * round, 1), (lambda round: 5 * round, 0)])
def test_memory_that_grows_with_the_rounds_is_found(grows, found, stress_program):
    memory = stress_program.Memory()
    memory.blocks = [80_000 + grows(round) for round in range(1000)]
    memory.bytes = [50_000_000] * 1000
    assert len(list(memory.findings())) == found


def test_output_on_standard_error_is_kept(stress_program, capfd):
    real = os.dup(2)
    terminal = stress_program.Terminal()
    os.write(2, b"planted")
    terminal.say("shown")
    kept = terminal.kept()
    os.dup2(real, 2)
    os.close(real)
    terminal.close()
    assert kept == "planted"
    assert capfd.readouterr().err == "shown\n"

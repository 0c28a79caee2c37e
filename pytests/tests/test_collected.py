"""Checks the fixture `collected`: garbage is collected between any two steps."""

import asyncio
import weakref

import pytest


class Cycle:
    def __init__(self, gone):
        self.itself = self
        weakref.finalize(self, gone)


@pytest.mark.parametrize("collected", [True], indirect=True)
def test_garbage_is_collected_between_two_steps_of_one_drain(run, rust, collected):
    """Each step leaves garbage, and no step calls anything that collects it. So the collection ran in between."""
    log = []

    async def step(number, gate):
        nonlocal log
        cycle = Cycle(lambda: log.append(("gone", number)))
        await gate.coroutine()
        log += [("step", number)]
        del cycle

    async def main():
        gates = [rust.Gate() for _ in range(10)]
        tasks = [asyncio.ensure_future(step(number, gate)) for number, gate in enumerate(gates)]
        await rust.turns(1, None)
        await asyncio.sleep(0)
        before = rust.metrics()["wake_ups"]
        for gate in gates:
            gate.open(None)
            gate.wait_until_dropped()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
        return rust.metrics()["wake_ups"] - before

    # The last result may come after the drop that the test waits for.
    assert run(main()) <= 2
    steps = [number for what, number in log if what == "step"]
    assert sorted(steps) == list(range(10))
    assert log == [(what, number) for number in steps for what in ("step", "gone")]

"""Ten thousand coroutines at once, cancelled at random: each awaiter gets one outcome, and nothing leaks."""

import asyncio
import random
from collections import Counter

import pytest

KINDS = ["lazy", "eager", "called", "gate", "cleans up", "persistent", "drops_handle_at_once", "closed", "awaited twice"]


class Load:
    """Awaits in random ways and counts the outcomes. The seed alone determines the choices."""

    def __init__(self, rust, seed, at_once):
        self.rust, self.random, self.outcomes = rust, random.Random(seed), Counter()
        self.at_once = at_once
        self.gates = []

    def coroutine(self, number):
        kind, turns = self.random.choice(KINDS), self.random.randrange(4)
        if kind in ("lazy", "closed", "awaited twice"):
            return kind, self.rust.lazy_turns(turns, number)
        if kind == "eager":
            return kind, self.rust.eager_turns(turns, number)
        if kind == "called":
            return kind, self.rust.lazy_call(lambda: number)
        gate = self.rust.Gate()
        self.gates.append((gate, number))
        if kind == "gate":
            return kind, gate.coroutine()
        if kind == "cleans up":
            clean = self.rust.Gate()
            clean.open(None)
            return kind, gate.cancellable_coroutine([], clean, *self.random.choice([[], [number]]))
        return kind, (self.rust.persistent(gate, []) if kind == "persistent" else self.rust.drops_handle_at_once(gate))

    async def one(self, number):
        kind, coroutine = self.coroutine(number)
        value = None
        try:
            if kind == "closed":
                coroutine.send(None)
                coroutine.close()
                value = number
            else:
                value = await coroutine
            if kind == "awaited twice":
                with pytest.raises(RuntimeError, match="cannot reuse"):
                    await coroutine
            assert value == number
            return "value"
        finally:
            self.outcomes["a value" if value == number else "none"] += 1

    def open_some(self, loop):
        for gate, number in self.gates[:200]:
            gate.open(number)
        del self.gates[:200]
        if not self.done:
            loop.call_soon(self.open_some, loop)

    async def run(self):
        loop, self.done = asyncio.get_running_loop(), False
        tasks = [asyncio.ensure_future(self.one(number)) for number in range(self.at_once)]
        unstarted = self.random.sample(tasks, 100)
        for task in unstarted:
            task.cancel()
        loop.call_soon(self.open_some, loop)
        for task in self.random.sample(tasks, self.at_once // 4):
            if self.random.random() < 0.1:
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait(tasks)
        self.done = True
        ends = Counter("cancelled" if task.cancelled() else task.result() for task in tasks)
        assert set(ends) == {"value", "cancelled"}
        assert sum(ends.values()) == self.at_once
        # A task that was cancelled before its first step has not run. Every other coroutine ended once, as its task did.
        assert self.outcomes["a value"] == ends["value"]
        assert 0 < self.at_once - sum(self.outcomes.values()) <= ends["cancelled"]


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_coroutines_with_random_cancels_have_one_outcome_each(run, rust, load, seed):
    live = rust.made() - rust.dropped()
    run(Load(rust, seed, load(10_000)).run())
    rust.wait_until_live(live)
    assert rust.made() - rust.dropped() == live

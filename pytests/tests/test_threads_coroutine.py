"""Eight threads use a coroutine at once: it ends for one of them, and its Rust future is dropped."""

import asyncio
import gc
import inspect
import weakref

import pytest
from conftest import tolerating_none


class Thrown(Exception):
    pass


class Driven:
    """A coroutine that all threads use, and how it ended for those that stepped it."""

    def __init__(self, gate, coroutine):
        self.gate, self.coroutine = gate, coroutine
        self.wrapper, self.task = coroutine.__await__(), None
        self.value, self.ends, self.is_closed = object(), [], False

    def step(self, make):
        """Makes a step as a task would."""
        try:
            make()._asyncio_future_blocking = False
        except StopIteration as stop:
            self.ends.append(stop.value)
        except (Thrown, asyncio.CancelledError) as error:
            self.ends.append(error)
        except ValueError as error:
            assert "coroutine already executing" in str(error)
        except RuntimeError as error:
            # Two steps overlapped: this one came before the other thread had reset the flag of the future.
            if "await wasn't used with future" in str(error):
                self.ends.append(error)
            else:
                assert "cannot reuse already awaited coroutine" in str(error)

    def open(self):
        try:
            self.gate.open(self.value)
        except RuntimeError:
            pass  # Another thread was first.

    async def finish(self):
        self.open()
        while self.coroutine.cr_frame is not None:
            if self.task:
                await asyncio.wait([self.task])
            elif self.coroutine.cr_await:
                await asyncio.wait([self.coroutine.cr_await])
            self.step(lambda: self.coroutine.send(None))
        if self.task:
            await asyncio.wait([self.task])
            self.task.cancelled() or self.task.exception()

    def check(self):
        assert len(self.ends) <= 1, self.ends
        # Otherwise it ended for its task, or a thread closed it.
        assert self.ends or self.is_closed or self.task
        assert [it for it in self.ends if it is not self.value and not isinstance(it, BaseException)] == []
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            self.coroutine.send(None)


def steps(driven, chance):
    either = chance.choice([driven.coroutine, driven.wrapper])
    driven.step(chance.choice([either.__next__, lambda: either.send(None)]))


def throws(driven, chance):
    either = chance.choice([driven.coroutine, driven.wrapper])
    error = chance.choice([Thrown, Thrown(), asyncio.CancelledError("thrown")])
    driven.step(lambda: either.throw(error))


def closes(driven, chance):
    driven.is_closed = True
    try:
        chance.choice([driven.coroutine, driven.wrapper]).close()
    except ValueError as error:
        assert "coroutine already executing" in str(error)


def opens(driven, chance):
    driven.open()


def cancels_what_it_awaits(driven, chance):
    future = driven.coroutine.cr_await
    if future is not None:
        future.cancel()


def awaits(driven, chance):
    try:
        driven.wrapper = driven.coroutine.__await__()
    except RuntimeError as error:
        assert "coroutine is being awaited already" in str(error)


def looks(driven, chance):
    coroutine = driven.coroutine
    coroutine.__name__ = coroutine.__qualname__ = chance.choice(["one", "another"])
    assert coroutine.__name__ in ("one", "another") and "RustCoroutine" in repr(coroutine)
    assert inspect.iscoroutine(coroutine) and weakref.ref(coroutine)() is coroutine
    tolerating_none(lambda: inspect.getcoroutinestate(coroutine))
    coroutine.cr_running, coroutine.cr_suspended, coroutine.cr_code, coroutine.cr_origin
    frame = coroutine.cr_frame
    if frame is not None:
        frame.f_back, frame.f_code, frame.f_lasti, frame.f_lineno, frame.f_globals, frame.f_locals


def collects(driven, chance):
    gc.collect(chance.choice([0, 0, 0, 1, 2]))


LOOKS = [looks, looks, awaits, collects]
OPERATIONS = [*LOOKS, steps, steps, steps, throws, closes, opens, cancels_what_it_awaits]


def from_rust(rust, gate):
    return Driven(gate, gate.coroutine())


def from_a_cancellable_coroutine(rust, gate):
    return Driven(gate, rust.persistent(gate, []))


@pytest.mark.parametrize("make", [from_rust, from_a_cancellable_coroutine])
def test_a_coroutine_in_eight_threads_ends_once(run, at_once, rust, make):
    live = rust.made() - rust.dropped()

    async def main():
        everything = [make(rust, rust.Gate()) for _ in range(60)]
        for driven in everything[::3]:
            driven.task = asyncio.ensure_future(driven.coroutine)
        await asyncio.sleep(0)

        def work(chance):
            for driven in everything:
                for operate in chance.sample(OPERATIONS, 4):
                    operate(driven, chance)

        await at_once(work)
        for driven in everything:
            await driven.finish()
            driven.check()
        rust.wait_until_live(live)

    run(main())


@pytest.mark.parametrize("make", [from_rust, from_a_cancellable_coroutine])
def test_a_task_has_the_value_of_its_coroutine_whoever_looks(run, at_once, rust, make):
    async def main():
        everything = [make(rust, rust.Gate()) for _ in range(60)]
        for driven in everything:
            driven.task = asyncio.ensure_future(driven.coroutine)

        def work(chance):
            for driven in everything:
                for operate in chance.sample([*LOOKS, opens], 3):
                    operate(driven, chance)

        await at_once(work)
        for driven in everything:
            driven.open()
            assert await driven.task is driven.value

    run(main())

"""Eight threads use each kind of future at once: it has one outcome, and no call is lost or made twice."""

import asyncio
import gc
import weakref

import pytest
from conftest import tolerating_none


class Boom(Exception):
    """The error that a future fails with."""


def outcome(future):
    try:
        return "value", future.result()
    except Boom as error:
        return "error", error
    except asyncio.CancelledError:
        return "cancelled", None


# Futures


class Driven:
    """A future that all threads use, with their operations and its answers."""

    def __init__(self, gate, future, coroutine=None):
        self.gate, self.future, self.coroutine = gate, future, coroutine
        self.iterator = future.__await__()
        self.is_awaited = False
        # The outcomes that a thread set successfully, those sent through the gate, and whether a cancellation was delivered.
        self.decided, self.given, self.asked = [], [], False
        self.told, self.callbacks = [], []

    def decide(self, end, how):
        try:
            decides = end() is not False
        except asyncio.InvalidStateError:
            decides = False
        if decides:
            self.decided.append(how)

    def give(self, give, how):
        try:
            give(how[1])
        except RuntimeError:
            return  # Another thread was first.
        self.given.append(how)

    def check(self):
        final = outcome(self.future)
        assert [told for told in self.told if told != final] == []
        cancelled = [("cancelled", None)] if self.asked else []
        assert [final] in (self.decided, self.given, cancelled), (final, self.decided, self.given)
        assert len(self.decided) <= 1
        assert [len(it.calls) - it.registered for it in self.callbacks if it.calls != [final] * it.registered] == []


class Callback:
    """A callback of one thread. Another thread compares it in `remove_done_callback`, and the interpreter may switch threads there."""

    def __init__(self, driven, registered):
        self.calls, self.registered = [], registered
        for _ in range(registered):
            driven.future.add_done_callback(self)
        driven.callbacks.append(self)

    def __call__(self, future):
        self.calls.append(outcome(future))

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


def ends(driven, chance):
    way, value, error = chance.randrange(5), object(), Boom()
    if way == 0:
        driven.decide(lambda: driven.future.set_result(value), ("value", value))
    elif way == 1:
        driven.decide(lambda: driven.future.set_exception(error), ("error", error))
    elif way == 2:
        driven.give(driven.gate.open, ("value", value))
    elif way == 3:
        driven.give(driven.gate.fail, ("error", error))
    elif driven.coroutine:
        # The Rust future decides the outcome.
        driven.asked |= driven.future.cancel()
    else:
        driven.decide(lambda: driven.future.cancel("a message"), ("cancelled", None))


def registers(driven, chance):
    Callback(driven, chance.randrange(1, 3))


def removes(driven, chance):
    callback = Callback(driven, chance.randrange(1, 4))
    removed = driven.future.remove_done_callback(callback)
    assert removed == callback.registered or driven.future.done()
    callback.registered -= removed


def asks(driven, chance):
    if driven.future.done():
        driven.told.append(outcome(driven.future))
    else:
        for ask in driven.future.result, driven.future.exception:
            try:
                ask()
            except (asyncio.InvalidStateError, asyncio.CancelledError, Boom):
                pass


def looks(driven, chance):
    future = driven.future
    assert "RustFuture" in (tolerating_none(lambda: repr(future)) or "RustFuture") and weakref.ref(future)() is future
    future.done(), future.cancelled(), future.get_loop(), future._state, future._callbacks, future._source_traceback
    future._result, future._exception, future._cancel_message, future._log_traceback, future._make_cancelled_error()
    future._cancel_message, future._log_traceback = "another message", False


def iterates(driven, chance):
    iterator = chance.choice([driven.iterator, iter(driven.future)])
    act = chance.choice([iterator.__next__, lambda: iterator.send(None), iterator.close, lambda: iterator.throw(Boom())])
    try:
        assert act() in (driven.future, None)
        driven.future._asyncio_future_blocking = False
    except StopIteration as stop:
        if stop.value:
            driven.told.append(("value", stop.value))
    except (asyncio.CancelledError, Boom):
        pass
    except RuntimeError as error:
        assert "await wasn't used with future" in str(error)


def collects(driven, chance):
    gc.collect(chance.choice([0, 0, 0, 1, 2]))


HARMLESS = [registers, removes, asks, looks, ends, collects]


async def waits(driven):
    """Awaits the future in a task, which has exactly one outcome."""
    try:
        driven.told.append(("value", await driven.future))
    except Boom as error:
        driven.told.append(("error", error))
    except asyncio.CancelledError:
        driven.told.append(("cancelled", None))


def from_rust(rust, gate):
    return Driven(gate, gate.wait())


def from_this_thread(rust, gate):
    return Driven(gate, gate.wait_here(object()))


def from_an_eager_start(rust, gate):
    return Driven(gate, gate.eager())


def from_a_cancellable_coroutine(rust, gate):
    coroutine = rust.persistent(gate, [])
    driven = Driven(gate, coroutine.send(None), coroutine)
    driven.future._asyncio_future_blocking = False
    return driven


@pytest.mark.parametrize("make", [from_rust, from_this_thread, from_an_eager_start, from_a_cancellable_coroutine])
def test_a_future_used_by_eight_threads_has_one_outcome_and_calls_each_callback_once(run, at_once, rust, make):
    async def main():
        everything = [make(rust, rust.Gate()) for _ in range(40)]
        waiters = []
        for driven in everything[::2]:
            driven.is_awaited = True
            waiters += [asyncio.ensure_future(waits(driven)) for _ in range(2)]
        await asyncio.sleep(0)

        def work(chance):
            for driven in everything:
                operations = HARMLESS if driven.is_awaited else [*HARMLESS, iterates]
                for operate in chance.sample(operations, 5):
                    operate(driven, chance)

        await at_once(work)
        for driven in everything:
            value = object()
            driven.give(driven.gate.open, ("value", value))
        await asyncio.wait([driven.future for driven in everything])
        await asyncio.gather(*waiters)
        # Callbacks scheduled with `call_soon` run in a later turn.
        await asyncio.sleep(0)
        for driven in everything:
            driven.check()

    run(main())

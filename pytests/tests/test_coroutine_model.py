"""A coroutine of Rust and one of Python, driven by hand through the same operations, answer the same.

The model is an `async def` that awaits one `asyncio.Future`. After each operation both say what came back and in which state
they are.
"""

import asyncio
import gc
import inspect
import random
import sys

import pytest

THROWN = {
    "class": lambda: (ValueError,),
    "instance": lambda: (ValueError("thrown"),),
    "class and text": lambda: (ValueError, "text"),
    "class and arguments": lambda: (ValueError, ("two", "texts")),
    "class and instance": lambda: (ValueError, ValueError("made before"), None),
    "class and nothing": lambda: (ValueError, None),
    "instance and value": lambda: (ValueError("thrown"), "value"),
    "bad traceback": lambda: (ValueError, None, "traceback"),
    "class that cannot be made": lambda: (UnicodeDecodeError,),
    "no exception": lambda: (42,),
    "nothing": lambda: (),
    "four": lambda: (ValueError, None, None, None),
    "the coroutine's end": lambda: (GeneratorExit,),
    "a StopIteration": lambda: (StopIteration(5),),
    "a cancellation": lambda: (asyncio.CancelledError("thrown"),),
    "an interrupt": lambda: (KeyboardInterrupt,),
}
ENDS = ["value", "none", "tuple", "error", "stop", "cancelled", "panic"]
PANIC = "rust future panicked: the panic's text"


class Raise:
    """What a future cannot be made to raise."""

    def __init__(self, error):
        self.error = error


class Native:
    """An `async def`."""

    def __init__(self, rust):
        self.rust, self.future, self.end = rust, None, None
        self.coroutine = self.body()

    async def body(self):
        self.future = asyncio.get_running_loop().create_future()
        self.arrive_soon()
        came = await self.future
        if isinstance(came, Raise):
            raise came.error
        return came

    def finish(self, end):
        self.end = end
        self.arrive_soon()

    def wait_until_dropped(self):
        pass

    def arrive_soon(self):
        if self.future is not None and self.end is not None:
            self.future.get_loop().call_soon_threadsafe(self.arrive)

    def arrive(self):
        # What was to complete it is dropped with the coroutine.
        if self.future.done() or inspect.getcoroutinestate(self.coroutine) == inspect.CORO_CLOSED:
            return
        complete = {
            "value": lambda: self.future.set_result("value"),
            "none": lambda: self.future.set_result(None),
            "tuple": lambda: self.future.set_result(("a", "tuple")),
            "error": lambda: self.future.set_exception(LookupError("from inside")),
            "stop": lambda: self.future.set_exception(RuntimeError("a StopIteration")),
            "cancelled": lambda: self.future.set_result(Raise(asyncio.CancelledError("from inside"))),
            "panic": lambda: self.future.set_exception(self.rust.RustPanic(PANIC)),
        }
        complete[self.end]()


class Rust:
    """A coroutine of Rust."""

    def __init__(self, rust):
        self.gate = rust.Gate()
        self.coroutine = self.gate.coroutine()

    def finish(self, end):
        complete = {
            "value": lambda: self.gate.open("value"),
            "none": lambda: self.gate.open(None),
            "tuple": lambda: self.gate.open(("a", "tuple")),
            "error": lambda: self.gate.fail(LookupError("from inside")),
            "stop": lambda: self.gate.fail(StopIteration("from inside")),
            "cancelled": lambda: self.gate.fail(asyncio.CancelledError("from inside")),
            "panic": lambda: self.gate.panic("the panic's text"),
        }
        complete[end]()

    def wait_until_dropped(self):
        """By then, a panic has been printed."""
        self.gate.wait_until_dropped()


class Driver:
    """Does operations to a coroutine and writes down what they come to."""

    def __init__(self, subject):
        self.subject, self.coroutine = subject, subject.coroutine
        self.waits_for, self.finished, self.outers = None, False, []

    async def do(self, operation, argument):
        try:
            came = getattr(self, operation)(argument)
            if operation == "arrive":
                came = await came
        except BaseException as error:
            came = describe(error)
        return came, self.state()

    def state(self):
        coroutine = self.coroutine
        state = [inspect.getcoroutinestate(coroutine), coroutine.cr_running]
        state += [coroutine.cr_await is None, coroutine.cr_frame is None]
        if sys.version_info >= (3, 11):
            state.append(coroutine.cr_suspended)
        return state

    def yielded(self, future):
        assert asyncio.isfuture(future)
        first, self.waits_for = self.waits_for is None, future
        return "yielded", first, future.done(), future._asyncio_future_blocking

    def send(self, value):
        return self.yielded(self.coroutine.send(value))

    def throw(self, what):
        """Python 3.13 lets a StopIteration through that is thrown into what has not begun; others wrap it."""
        if what == "a StopIteration" and inspect.getcoroutinestate(self.coroutine) == inspect.CORO_CREATED:
            return "not thrown"
        return self.yielded(self.coroutine.throw(*THROWN[what]()))

    def close(self, _):
        return self.coroutine.close()

    def wrapper(self, method):
        """`__await__` by hand. It refuses nothing of an `async def`, so that it is asked only where it may go on."""
        if inspect.getcoroutinestate(self.coroutine) == inspect.CORO_SUSPENDED:
            return "not asked"
        iterator = self.coroutine.__await__()
        assert iter(iterator) is iterator
        if method == "close":
            return iterator.close()
        if method == "throw":
            return self.yielded(iterator.throw(LookupError("into the wrapper")))
        return self.yielded(next(iterator) if method == "next" else iterator.send(None))

    def outer(self, _):
        """Another coroutine awaits it. It stays, since its end would close this one."""

        async def outer():
            return await self.coroutine

        self.outers.append(outer())
        return self.yielded(self.outers[-1].send(None))

    def step_outer(self, _):
        if self.outers and inspect.getcoroutinestate(self.outers[-1]) == inspect.CORO_SUSPENDED:
            return self.yielded(self.outers[-1].send(None))
        return "nobody awaits"

    def drop_outer(self, _):
        self.outers.clear()

    def task(self, _):
        """`yield from` in a coroutine of the old kind."""

        def generator():
            return (yield from self.coroutine.__await__())

        if inspect.getcoroutinestate(self.coroutine) == inspect.CORO_SUSPENDED:
            return "not asked"
        self.outers.append(generator())
        return self.yielded(next(self.outers[-1]))

    def cancel_future(self, message):
        """Where the coroutine has ended, the Rust future is gone, while a future of asyncio knows nothing of that."""
        if inspect.getcoroutinestate(self.coroutine) != inspect.CORO_SUSPENDED:
            return "no future"
        return self.waits_for.cancel(message)

    def finish(self, end):
        if not self.finished:
            self.finished = True
            self.subject.finish(end)

    async def arrive(self, _):
        if self.finished and inspect.getcoroutinestate(self.coroutine) == inspect.CORO_SUSPENDED:
            await asyncio.wait([self.waits_for])
        return "arrived"

    def collect(self, _):
        gc.collect()

    def iterate(self, _):
        return list(self.coroutine)

    def end(self):
        self.outers.clear()
        self.coroutine.close()
        self.subject.wait_until_dropped()


def describe(error):
    """An error in comparable words. What a StopIteration becomes, and what is refused, is worded in more than one way."""
    # Where exceptions have no notes, the place of a panic is a part of its text.
    text = str(error).split("\npanicked at ")[0]
    if "StopIteration" in text and isinstance(error, RuntimeError):
        text = "a StopIteration"
    if isinstance(error, TypeError):
        text = text.replace("RustCoroutine", "coroutine").replace("a traceback object", "a traceback")
        if text.startswith("exceptions must be"):
            text = "exceptions must be exceptions"
        if "not iterable" in text:
            text = "not iterable"
    return type(error), text, getattr(error, "value", None)


async def play(subject, operations, collect_between):
    driver = Driver(subject)
    record = []
    for operation, argument in operations:
        record.append((operation, argument, await driver.do(operation, argument)))
        if collect_between:
            gc.collect()
    driver.end()
    return record


def operations():
    yield from (("send", value) for value in (None, 1))
    yield from (("throw", what) for what in THROWN)
    yield from (("finish", end) for end in ENDS)
    yield from (("wrapper", method) for method in ("next", "send", "throw", "close"))
    yield from ((name, None) for name in ("close", "outer", "step_outer", "drop_outer", "task", "arrive", "iterate"))
    yield from (("cancel_future", message) for message in (None, "message"))


OPERATIONS = list(operations())
# What brings a coroutine into each of its states.
START, ARRIVE = ("send", None), ("arrive", None)
PREFIXES = {
    "created": [],
    "started": [START],
    "awaited": [("outer", None)],
    "wrapped": [("wrapper", "next")],
    "old-style": [("task", None)],
    "finished early": [("finish", "value")],
    "closed": [("close", None)],
    "thrown": [("throw", "instance")],
    "sent twice": [START, START],
    "cancelled": [START, ("cancel_future", "message")],
    **{f"on its way: {end}": [START, ("finish", end)] for end in ENDS},
    **{f"arrived: {end}": [START, ("finish", end), ARRIVE] for end in ENDS},
    **{f"over: {end}": [START, ("finish", end), ARRIVE, START] for end in ENDS},
}


@pytest.fixture
def same(run, rust, complaints, capfd):
    """Plays sequences of operations to both and compares."""
    # What is there already need not be looked through at each collection.
    gc.collect()
    gc.freeze()

    def same(sequences, collect_between=False):
        async def played(kind):
            return [await play(kind(rust), operations, collect_between) for operations in sequences]

        def heard():
            gc.collect()
            heard = [(type(context["exception"]).__name__, context["message"]) for context in complaints]
            complaints.clear()
            return sorted(heard)

        native, heard_of_native = run(played(Native)), heard()
        ours, heard_of_ours = run(played(Rust)), heard()
        # Rust's panic hook prints.
        capfd.readouterr()
        for one, other in zip(ours, native):
            assert one == other
        assert [(kind, message.replace("Rust", "")) for kind, message in heard_of_ours] == heard_of_native

    yield same
    gc.unfreeze()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_in_every_state_every_operation_does_what_it_does_to_an_async_def(same, prefix, collect_between):
    same([[*PREFIXES[prefix], operation, START] for operation in OPERATIONS], collect_between)


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_do_what_they_do_to_an_async_def(same, seed, collect_between):
    """What comes out is a matter of the seed alone."""
    choose = random.Random(seed)

    def sequence():
        # Half of it is what a task does, so that sequences come far.
        likely = [START, ARRIVE, ("finish", choose.choice(ENDS)), ("outer", None), ("step_outer", None)]
        return [choose.choice(choose.choice([likely, OPERATIONS])) for _ in range(choose.randrange(2, 12))]

    same([sequence() for _ in range(200)], collect_between)

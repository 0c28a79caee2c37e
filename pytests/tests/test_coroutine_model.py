"""A Rust coroutine and a Python coroutine give the same answers to the same operations.

The model is an `async def` that awaits one `asyncio.Future`. After each operation the test compares the results and the states
of both.
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
    """An error that `Future.set_exception` does not accept."""

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
        # A closed coroutine drops its completion.
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
    """A Rust coroutine."""

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
        """Waits until a panic is printed, too."""
        self.gate.wait_until_dropped()


class Driver:
    """Applies operations to a coroutine and records their results."""

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
        """Python 3.13 raises a StopIteration that is thrown into an unstarted coroutine as it is; other versions wrap it."""
        if what == "a StopIteration" and inspect.getcoroutinestate(self.coroutine) == inspect.CORO_CREATED:
            return "not thrown"
        return self.yielded(self.coroutine.throw(*THROWN[what]()))

    def close(self, _):
        return self.coroutine.close()

    def wrapper(self, method):
        """Calls `__await__` by hand. On an `async def` it never refuses, so this skips a suspended coroutine."""
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
        """Awaits it in another coroutine, which is kept: its end would close this one."""

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
        """Awaits it with `yield from` in a generator."""

        def generator():
            return (yield from self.coroutine.__await__())

        if inspect.getcoroutinestate(self.coroutine) == inspect.CORO_SUSPENDED:
            return "not asked"
        self.outers.append(generator())
        return self.yielded(next(self.outers[-1]))

    def cancel_future(self, message):
        """Skips a coroutine that has ended: its Rust future is gone then, while an asyncio future would still be pending."""
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
    """An error as comparable text. Python words some of these errors in several ways."""
    # Before Python 3.11, the text of a panic contains its location.
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
# The operations that bring a coroutine into each of its states.
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
    """Applies sequences of operations to both and compares the records."""

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

    return same


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_operation_in_every_state_matches_an_async_def(same, prefix, collect_between):
    same([[*PREFIXES[prefix], operation, START] for operation in OPERATIONS], collect_between)


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_match_an_async_def(same, seed, collect_between):
    """The seed alone determines the operations."""
    choose = random.Random(seed)

    def sequence():
        # Half of the operations are those of a task, so that sequences reach late states.
        likely = [START, ARRIVE, ("finish", choose.choice(ENDS)), ("outer", None), ("step_outer", None)]
        return [choose.choice(choose.choice([likely, OPERATIONS])) for _ in range(choose.randrange(2, 12))]

    same([sequence() for _ in range(200)], collect_between)

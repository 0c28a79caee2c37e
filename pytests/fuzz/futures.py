"""A future of Rust beside one of asyncio, under the same operations.

Operations do not let the loop turn, except `turns`, which waits for what is on its way first: so it does not matter when that
arrives.
"""

import asyncio
import gc
from functools import partial

from test_model import described, plain, settle

CALLBACKS = ["logs", "raises", "adds another", "cancels", "asks"]
ENDS = ["value", "none", "error", "stop", "cancelled"]
SET = {"error": lambda: LookupError("set"), "class": lambda: KeyError, "stop": StopIteration, "no error": lambda: 42}


class Asyncio:
    """A future of asyncio, completed the way another thread would."""

    def __init__(self, rust):
        self.future = asyncio.get_running_loop().create_future()

    def finish(self, end):
        future = self.future
        complete = {
            "value": partial(future.set_result, "value"),
            "none": partial(future.set_result, None),
            "error": partial(future.set_exception, LookupError("from inside")),
            "stop": partial(future.set_exception, RuntimeError("a Rust future raised StopIteration")),
            "cancelled": future.cancel,
        }[end]
        future.get_loop().call_soon_threadsafe(lambda: future.done() or complete())

    def settled(self):
        pass


class Rust:
    """A future of Rust, completed by Rust."""

    def __init__(self, rust):
        self.gate = rust.Gate()
        self.future = self.gate.wait()

    def finish(self, end):
        {
            "value": partial(self.gate.open, "value"),
            "none": partial(self.gate.open, None),
            "error": partial(self.gate.fail, LookupError("from inside")),
            "stop": partial(self.gate.fail, StopIteration("from inside")),
            "cancelled": partial(self.gate.fail, asyncio.CancelledError()),
        }[end]()

    def settled(self):
        """The Rust future is gone when the Python one is done."""
        self.gate.wait_until_dropped()


class Driver:
    """Does operations to a future and writes down what they come to."""

    def __init__(self, subject):
        self.subject, self.future = subject, subject.future
        self.finished, self.iterator, self.tasks = False, None, []
        # Which of the two comes first where both can go on is a matter of when the outcome arrives.
        self.log, self.awaited = [], []
        # The same objects each time, so that one can be removed.
        self.callbacks = {kind: partial(self.called, kind) for kind in CALLBACKS}

    async def do(self, operation, argument):
        self.log.clear()
        self.awaited.clear()
        try:
            came = getattr(self, operation)(argument)
            came = "result", plain(await came if asyncio.iscoroutine(came) else came)
        except StopIteration as stop:
            came = "stopped", plain(stop.value)
        except BaseException as error:
            came = described(error)
            if isinstance(error, asyncio.CancelledError):
                # Its text is that of its one argument, but not the other way round.
                came += error.args
        return came, list(self.log), list(self.awaited), self.state()

    def state(self):
        future = self.future
        return future.done(), future.cancelled(), future._asyncio_future_blocking, plain(future)

    def called(self, kind, future):
        self.log.append((kind, future is self.future, future.done()))
        if kind == "raises":
            raise LookupError("from a callback")
        if kind == "adds another":
            future.add_done_callback(self.callbacks["logs"])
        if kind == "cancels":
            self.log.append(future.cancel())
        if kind == "asks" and not future.cancelled():
            self.log.append(plain(future.exception()))

    def add(self, kind):
        return self.future.add_done_callback(self.callbacks[kind])

    def remove(self, kind):
        return self.future.remove_done_callback(self.callbacks[kind])

    def cancel(self, message):
        return self.future.cancel() if message is None else self.future.cancel(message)

    def set_result(self, value):
        return self.future.set_result(value)

    def set_exception(self, kind):
        return self.future.set_exception(SET[kind]())

    def ask(self, method):
        return getattr(self.future, method)()

    def block(self, value):
        self.future._asyncio_future_blocking = value

    def finish(self, end):
        if not self.finished and not self.future.done():
            self.finished = True
            self.subject.finish(end)

    def iterate(self, _):
        self.iterator = self.future.__await__()

    def step(self, method):
        if self.iterator is None:
            return "no iterator"
        # One that has ended is not asked again: asyncio's own, in C, raises SystemError then.
        iterator, self.iterator = self.iterator, None
        if method == "throw":
            return iterator.throw(ValueError("thrown"))
        if method == "close":
            return iterator.close()
        came = next(iterator) if method == "next" else iterator.send(5)
        self.iterator = iterator
        return came is self.future

    async def wait(self, _):
        if self.finished:
            await self.turns(None)

        async def wait():
            try:
                self.awaited.append(plain(await self.future))
            except BaseException as error:
                self.awaited.append(described(error))
                if isinstance(error, asyncio.CancelledError):
                    raise

        self.tasks.append(asyncio.ensure_future(wait()))

    def cancel_task(self, _):
        return [task.cancel() for task in self.tasks]

    def collect(self, _):
        gc.collect()

    async def turns(self, _):
        if self.finished and not self.future.done():
            await asyncio.wait([self.future])
        await settle()

    async def end(self):
        """Nobody is left to wait, and the last reference goes."""
        self.future.cancel()
        await settle()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        self.subject.settled()


def operations():
    yield from (("add", kind) for kind in CALLBACKS)
    yield from (("remove", kind) for kind in CALLBACKS)
    yield from (("cancel", message) for message in (None, "message"))
    yield from (("set_result", value) for value in (None, 1))
    yield from (("set_exception", kind) for kind in SET)
    yield from (("ask", method) for method in ("result", "exception", "_make_cancelled_error"))
    yield from (("block", value) for value in (True, False))
    yield from (("finish", end) for end in ENDS)
    yield from (("step", method) for method in ("next", "send", "throw", "close"))
    yield from ((name, None) for name in ("iterate", "wait", "cancel_task", "collect", "turns"))


OPERATIONS = list(operations())
SUBJECTS = Asyncio, Rust


async def play(subject, operations):
    driver = Driver(subject)
    record = [(operation, argument, await driver.do(operation, argument)) for operation, argument in operations]
    await driver.end()
    return record

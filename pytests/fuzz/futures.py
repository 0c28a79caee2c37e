"""A Rust future beside an asyncio future, with the same operations.

Only the operation `turns` lets the loop turn, and it first waits for an outcome that is on its way. So the time of its arrival
does not matter.
"""

import asyncio
import gc
from functools import partial

from test_model import described, plain, settle

CALLBACKS = ["logs", "raises", "adds another", "cancels", "asks"]
ENDS = ["value", "none", "error", "stop", "cancelled"]
SET = {"error": lambda: LookupError("set"), "class": lambda: KeyError, "stop": StopIteration, "no error": lambda: 42}


class Asyncio:
    """An asyncio future, completed as another thread would complete it."""

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
    """A Rust future, completed by Rust."""

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
        """Waits for the drop of the Rust future, which ends with the Python future."""
        self.gate.wait_until_dropped()


class Driver:
    """Applies operations to a future and records their results."""

    def __init__(self, subject):
        self.subject, self.future = subject, subject.future
        self.finished, self.iterator, self.tasks = False, None, []
        # The order between these two depends on the time when the outcome arrives.
        self.log, self.awaited = [], []
        # Each callback is one object, so that it can be removed.
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
                # The text does not determine the arguments.
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
        # Do not step an ended iterator again: that of asyncio's C future raises SystemError.
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
        """Cancels the future and its awaiters."""
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

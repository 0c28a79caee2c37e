"""Operations in which Rust awaits Python."""

import asyncio
import contextvars
import gc
import threading
from functools import partial

from desk import Parcel, Provoked
from operations import operation
from rust_to_python import cancel_somehow

TOKEN = contextvars.ContextVar("TOKEN")


async def python(desk, end, turns, parcel, token=None, outcomes=()):
    """A coroutine for Rust to await. It opens its ticket when it starts."""
    ticket, outcome = desk.account.open("coroutine of Python"), "value"
    try:
        if token is not None and TOKEN.get(None) is not token:
            desk.complaints.append("a coroutine lost its context")
        for _ in range(turns):
            await asyncio.sleep(0)
        if end == "nested":
            return await desk.rust.turns(turns, parcel)
        if end == "error":
            raise Provoked
        if end == "cancelled":
            raise asyncio.CancelledError
        return parcel
    except BaseException as error:
        outcome = desk.named(error)
        raise
    finally:
        desk.close(ticket, outcome, {"value", end, *outcomes})


def some_python(desk, choose, parcel, token=None, outcomes=()):
    """A function that makes such a coroutine, and its outcome."""
    end = choose.choice(["value", "value", "nested", "error", "cancelled"])
    make = partial(python, desk, end, choose.randrange(5), parcel, token, outcomes)
    return make, "value" if end == "nested" else end


@operation(10)
async def await_python(desk, choose):
    parcel = Parcel()
    coroutine, outcome = some_python(desk, choose, parcel, outcomes=("cancelled",))
    outcomes = {outcome}
    future = desk.rust.into_future(coroutine()).wait()
    if choose.random() < 0.3:
        outcomes.add("cancelled")
        cancel_somehow(desk, choose, future.cancel)
    await desk.wait("Python awaited by Rust", future, outcomes, (parcel,))


@operation(5)
async def await_python_for_a_while(desk, choose):
    parcel = Parcel()
    coroutine, outcome = some_python(desk, choose, parcel, outcomes=("cancelled",))
    future = desk.rust.await_for_turns(coroutine(), choose.randrange(30))
    await desk.wait("Python dropped by Rust", future, {outcome, "value"}, (parcel, None))


@operation(5)
async def await_from_inside(desk, choose):
    """A worker calls a Python function and awaits its result."""
    parcel, token = Parcel(), object()
    TOKEN.set(token)
    if choose.random() < 0.5:
        count = choose.randrange(4)
        future, outcome = desk.rust.await_inside(lambda: desk.rust.turns(count, parcel)), "value"
    else:
        coroutine, outcome = some_python(desk, choose, parcel, token)
        future = desk.rust.await_inside(lambda: coroutine())
    await desk.wait("awaited inside", future, {outcome}, (parcel,))


@operation(3)
async def let_go(desk, choose):
    """Rust starts an awaitable and drops or detaches it."""
    coroutine = python(desk, "value", choose.randrange(5), Parcel(), outcomes=("cancelled",))
    task = desk.rust.into_future(coroutine)
    if choose.random() < 0.5:
        task.drop()
    else:
        desk.detached.append(coroutine)
        task.detach()


@operation(3)
async def block(desk, choose):
    """A thread without a loop blocks on Python."""
    parcel = Parcel()
    coroutine, outcome = some_python(desk, choose, parcel)
    task, ticket = desk.rust.into_future(coroutine()), desk.account.open("blocked thread")

    def wait():
        try:
            came = "value" if task.block() is parcel else "the wrong value"
        except BaseException as error:
            came = desk.named(error)
        desk.close(ticket, came, {outcome})

    desk.workshop.do(wait)


# Each callback that blocks needs one more background loop, which lives as long as the process. So one at a time blocks.
NESTING = threading.Lock()


@operation(3)
async def block_on_callback(desk, choose):
    """The thread of this loop, or one without a loop, blocks on a callback, which may block again."""
    parcel, depth = Parcel(), choose.randrange(3)
    coroutine, outcome = some_python(desk, choose, parcel)
    ticket = desk.account.open("callback of block_on")

    async def callback(depth):
        return desk.rust.tokio.call_back_now(lambda: callback(depth - 1)) if depth else await coroutine()

    def wait():
        nests = depth > 0 and NESTING.acquire(blocking=False)
        try:
            came = "value" if desk.rust.tokio.call_back_now(lambda: callback(depth if nests else 0)) is parcel else "the wrong value"
        except BaseException as error:
            came = desk.named(error)
        finally:
            if nests:
                NESTING.release()
        desk.close(ticket, came, {outcome})

    wait() if choose.random() < 0.5 else desk.workshop.do(wait)


@operation(5)
async def await_on_another_loop(desk, choose):
    """Awaits a coroutine on the loop of another thread, which may close at any moment."""
    parcel, other = Parcel(), desk.workshop.desk(choose.random())
    coroutine = python(other, "value", choose.randrange(5), parcel, outcomes=("cancelled",))
    try:
        future = desk.rust.into_future(coroutine, other.loop).wait()
    except desk.rust.LoopClosed:
        coroutine.close()
        return
    await desk.wait("another loop", future, {"value", "loop closed", "cancelled"}, (parcel,))


@operation(3)
async def call_python(desk, choose):
    """A worker attaches and calls a Python function."""
    parcel, collects = Parcel(), choose.random() < 0.05

    def function():
        if collects:
            gc.collect()
        return parcel

    await desk.wait("called inside", desk.rust.call_inside(function), {"value"}, (parcel,))


@operation(1)
async def collect(desk, choose):
    gc.collect(choose.randrange(3))


@operation(1)
async def short_loop(desk, choose):
    """Runs a new loop to its end in a helper thread."""
    parcel, ticket, count = Parcel(), desk.account.open("short loop"), choose.randrange(3)

    async def main():
        # This future is not awaited, and is in flight when the loop closes.
        desk.rust.turns(count, None)
        return await desk.rust.turns(count, parcel)

    def run():
        loop = desk.new_loop()
        try:
            came = "value" if loop.run_until_complete(main()) is parcel else "the wrong value"
        except BaseException as error:
            came = desk.named(error)
        finally:
            loop.close()
        desk.close(ticket, came, {"value"})

    desk.workshop.do(run)

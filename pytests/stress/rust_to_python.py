"""Operations in which Python awaits Rust."""

import asyncio
import os
import sys
from functools import partial

from desk import Parcel, Provoked
from operations import operation

# The module of the exports is named after their runtime.
RUNTIME = os.environ.get("PYTESTS_RUNTIME", "tokio").replace("_current_thread", "")

# The ends of a gate's future, and the outcomes for its awaiter.
ENDS = {
    "open": (lambda gate, parcel: gate.open(parcel), "value"),
    "fail": (lambda gate, parcel: gate.fail(Provoked()), "error"),
    "stop": (lambda gate, parcel: gate.fail(StopIteration(1)), "RuntimeError: a Rust future raised StopIteration"),
    "cancel": (lambda gate, parcel: gate.fail(asyncio.CancelledError()), "cancelled"),
    "panic": (lambda gate, parcel: gate.panic("provoked"), "panic"),
    "fail to convert": (lambda gate, parcel: gate.fail_conversion(Provoked()), "error"),
    "panic in conversion": (lambda gate, parcel: gate.panic_in_conversion("provoked"), "panic"),
    "forget": (lambda gate, parcel: gate.forget(), "value"),
}
WAYS = {
    "future": lambda rust, gate, parcel: gate.wait(),
    "eager future": lambda rust, gate, parcel: gate.eager(),
    "local future": lambda rust, gate, parcel: gate.wait_here(Parcel()),
    "coroutine": lambda rust, gate, parcel: gate.coroutine(),
    "cancellable coroutine": lambda rust, gate, parcel: cancellable(rust, gate, parcel),
    "bomb": lambda rust, gate, parcel: rust.bomb(gate),
    "bomb coroutine": lambda rust, gate, parcel: rust.bomb_coroutine(gate),
}


def cancellable(rust, gate, parcel):
    # The clean-up ends when its gate is dropped, which is here.
    return gate.cancellable_coroutine([], rust.Gate(), parcel)


def end_somehow(desk, choose, finish):
    """Calls a function now or later, in this thread or another."""
    how = choose.choice(["now", "turns", "timer", "thread", "thread"])
    if how == "turns":
        desk.call_in_turns(choose.randrange(1, 4), finish)
    elif how == "timer":
        desk.loop.call_later(choose.random() / 1000, finish)
    elif how == "thread":
        desk.workshop.do(finish)
    else:
        finish()


def cancel_somehow(desk, choose, cancel):
    """Calls a function after some turns, or at the request of another thread."""
    if choose.random() < 0.3:
        desk.call_from_thread(cancel)
    else:
        desk.call_in_turns(choose.randrange(1, 6), cancel)


@operation(20)
async def gate(desk, choose):
    """One future with one end, several awaiters, and perhaps a cancellation."""
    gate, parcel = desk.rust.Gate(), Parcel()
    way, (end, outcome) = choose.choice(list(WAYS)), choose.choice(list(ENDS.values()))
    outcomes, finish = {"panic" if "bomb" in way else outcome}, partial(end, gate, parcel)
    early = choose.random() < 0.2
    if early:
        finish()
    awaitable = WAYS[way](desk.rust, gate, parcel)
    del gate
    cancels = choose.random()
    if cancels < 0.1:
        # The task may not have started.
        awaitable = asyncio.ensure_future(awaitable)
        awaitable.cancel()
        outcomes |= {"cancelled", "value"}
    elif cancels < 0.2:
        awaitable = asyncio.wait_for(awaitable, choose.random() / 500)
        outcomes |= {"cancelled", "timeout", "value"}
    number = choose.randrange(1, 4) if asyncio.isfuture(awaitable) else 1
    waits = [desk.wait(way, awaitable, outcomes, (parcel, None)) for _ in range(number)]
    waiters = [desk.loop.create_task(wait) for wait in waits]
    if 0.2 < cancels < 0.5:
        outcomes |= {"cancelled", "value"}
        cancel_somehow(desk, choose, waiters[0].cancel)
    if not early:
        end_somehow(desk, choose, finish)
    del finish
    await asyncio.wait(waiters)


@operation(20)
async def turns(desk, choose):
    parcel = Parcel()
    await desk.wait("turns", desk.rust.turns(choose.randrange(5), parcel), {"value"}, (parcel,))


@operation(3)
async def timers(desk, choose):
    seconds = choose.random() / 500
    if choose.random() < 0.5:
        await desk.wait("timer", desk.rust.nap(seconds), {"value"}, ((),))
        return
    parcel = Parcel()
    future = desk.rust.local_nap(seconds, lambda: parcel)
    await desk.wait("local timer", future, {"value"}, ((parcel, parcel),))


@operation(3)
async def blocks(desk, choose):
    """A blocking call into Rust, on the loop's thread or another."""
    parcel, ticket = Parcel(), desk.account.open("block_on")
    block = partial(desk.rust.block_on_turns, choose.randrange(5), parcel)

    def close(value):
        desk.close(ticket, "value" if value is parcel else f"the wrong value {value!r}", {"value"})

    if choose.random() < 0.5:
        close(block())
    else:
        desk.workshop.do(lambda: close(block()))


@operation(4)
async def borrows(desk, choose):
    """Two methods that borrow one object mutably: the second is refused until the first ends or is cancelled."""
    counter, gates = getattr(desk.rust, RUNTIME).Counter(), [desk.rust.Gate() for _ in range(2)]
    first = desk.loop.create_task(desk.wait("borrowing method", counter.add(gates[0]), {"value", "cancelled"}, (1,)))
    try:
        counter.add(gates[1])
    except RuntimeError:
        pass
    else:
        desk.complaints.append("an object was borrowed by two methods at once")
    if choose.random() < 0.3:
        cancel_somehow(desk, choose, first.cancel)
    end_somehow(desk, choose, partial(gates[0].open, None))
    await asyncio.wait([first])
    end_somehow(desk, choose, partial(gates[1].open, None))
    await desk.wait("borrowing method", counter.add(gates[1]), {"value"}, (1, 2))


class Callback:
    """A callback that is called once, or dropped with a closed loop."""

    def __init__(self, desk):
        self.desk, self.ticket = desk, desk.account.open("callback")

    def __call__(self, future):
        ticket, self.ticket = self.ticket, None
        self.desk.close(ticket, "called" if future.done() else "called early", {"called"})

    def __del__(self):
        if self.ticket is not None:
            self.desk.close(self.ticket, "destroyed", {"called"})


@operation(5)
async def callbacks(desk, choose):
    gate, parcel = desk.rust.Gate(), Parcel()
    future = gate.wait()
    for _ in range(choose.randrange(4)):
        future.add_done_callback(Callback(desk))
    for _ in range(choose.randrange(4)):
        removed = partial(desk.complaints.append, "a removed callback was called")
        future.add_done_callback(removed)
        if future.remove_done_callback(removed) != 1:
            desk.complaints.append("a callback could not be removed")
    end, outcome = choose.choice(list(ENDS.values()))
    outcomes = {outcome}
    if choose.random() < 0.3:
        outcomes |= {"cancelled"}
        cancel_somehow(desk, choose, future.cancel)
    end_somehow(desk, choose, partial(end, gate, parcel))
    del gate
    await desk.wait("future with callbacks", future, outcomes, (parcel, None))


@operation(4)
async def abandon(desk, choose):
    """Drops a future. The Rust future continues without Python and, if it has a thread of its own, without the loop, which does not
    turn meanwhile."""
    gate = desk.rust.Gate()
    future = gate.wait()
    end, _ = choose.choice([it for name, it in ENDS.items() if name != "forget"])
    end(gate, Parcel())
    del future
    ticket = desk.account.open("abandoned")

    def wait():
        gate.wait_until_dropped()
        desk.close(ticket, "dropped", {"dropped"})

    desk.workshop.do(wait) if desk.has_one_thread else wait()


@operation(4)
async def many(desk, choose):
    """asyncio's functions for several awaitables."""
    parcels = [Parcel() for _ in range(choose.randrange(2, 12))]
    awaitables = [desk.rust.turns(choose.randrange(4), parcel) for parcel in parcels]
    ways = ["gather", "cancelled gather", "first"]
    if desk.ending != "abandoned":
        # Python warns when these two are destroyed.
        ways += ["as completed", "group"] if sys.version_info >= (3, 11) else ["as completed"]
    way = choose.choice(ways)
    if way in ("gather", "cancelled gather"):
        gathered, outcomes = asyncio.gather(*awaitables), {"value"}
        if way == "cancelled gather":
            outcomes.add("cancelled")
            cancel_somehow(desk, choose, gathered.cancel)
        await desk.wait(way, gathered, outcomes, (parcels,))
    elif way == "first":
        waits = [desk.wait(way, awaitable, {"value", "cancelled"}, parcels) for awaitable in awaitables]
        tasks = [desk.loop.create_task(wait) for wait in waits]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.wait(tasks)
    elif way == "group":
        async with asyncio.TaskGroup() as group:
            for awaitable in awaitables:
                group.create_task(desk.wait(way, awaitable, {"value"}, parcels))
    else:
        for awaitable in asyncio.as_completed(awaitables):
            await desk.wait(way, awaitable, {"value"}, parcels)


@operation(5)
async def by_hand(desk, choose):
    """Drives a coroutine without a task."""
    gate, parcel = desk.rust.Gate(), Parcel()
    finish = partial(ENDS["open"][0], gate, parcel)
    coroutine, future, finished = gate.coroutine(), None, False
    ticket, outcome = desk.account.open("by hand"), "closed"
    try:
        for step in choose.choices(["send", "finish", "throw", "close"], [6, 4, 1, 1], k=6):
            if step == "send":
                future = coroutine.send(None)
                future._asyncio_future_blocking = False
            elif step == "finish" and not finished:
                finished = True
                finish()
            elif step == "finish" and future is not None:
                await asyncio.wait([future])
            elif step == "throw":
                coroutine.throw(Provoked())
            elif step == "close":
                coroutine.close()
                break
        coroutine.close()
    except StopIteration as stop:
        outcome = "value" if stop.value is parcel else f"the wrong value {stop.value!r}"
    except BaseException as error:
        outcome = desk.named(error)
        if isinstance(error, GeneratorExit):
            raise
    finally:
        refused = "RuntimeError: await wasn't used with future"
        desk.close(ticket, outcome, {"value", "error", "closed", refused})

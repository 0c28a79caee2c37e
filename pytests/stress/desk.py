"""One event loop in its thread, with what goes on on it."""

import asyncio
import random

from accounts import Account
from operations import choose_operation

# How many operations are under way on a loop.
AT_ONCE = 24


class Provoked(Exception):
    """An error that was asked for."""


class Parcel:
    """A value that crosses, of a class of its own, so that one that is left can be told."""


class Desk:
    """A loop that performs a number of operations, and ends in one of three ways.

    `served` lets everyone finish. `cancelled` ends as `asyncio.run` does. `abandoned` closes the loop with everything in
    flight.
    """

    def __init__(self, rust, workshop, new_loop, seed, operations):
        self.rust, self.workshop, self.seed, self.operations = rust, workshop, seed, operations
        choose = random.Random(seed)
        self.ending = choose.choice(["served", "served", "cancelled", "abandoned"])
        self.account, self.complaints = Account(), []
        # From when on somebody may hear of the end of the loop, and not of what was waited for.
        self.ends = False
        self.loop = new_loop()
        # In debug mode, what Rust hands over begins a turn later: Python would warn of what is abandoned in between.
        self.loop.set_debug(self.ending != "abandoned" and choose.random() < 0.1)
        # Debug mode would log every step that a busy machine makes slow.
        self.loop.slow_callback_duration = float("inf")
        self.loop.set_exception_handler(self._complain)

    def run(self):
        """Is called once, in the thread of the loop."""
        try:
            self.loop.run_until_complete(self._serve())
            if self.ending == "cancelled":
                self._cancel_all()
        finally:
            self.ends = True
            for task in asyncio.all_tasks(self.loop):
                # That it never ends is the point, and asyncio need not say so.
                task._log_destroy_pending = False
            self.loop.close()

    async def _serve(self):
        places, tasks = asyncio.Semaphore(AT_ONCE), set()
        for number in range(self.operations):
            await places.acquire()
            task = self.loop.create_task(self._perform(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda task: places.release())
        if self.ending == "served":
            if tasks:
                await asyncio.wait(tasks)
            # The callbacks of a future that was cancelled come with the next turn.
            await asyncio.sleep(0)
            return
        # By then every coroutine has begun: Python warns of one that never does.
        for _ in range(3):
            await asyncio.sleep(0)
        self.ends = True

    async def _perform(self, number):
        choose = random.Random(f"{self.seed}/{number}")
        try:
            await choose_operation(choose)(self, choose)
        except asyncio.CancelledError:
            if not self.ends:
                raise

    def _cancel_all(self):
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))

    def _complain(self, loop, context):
        """An error that was provoked and that nobody is left to take is no complaint."""
        error = context.get("exception")
        kinds = (Provoked, StopIteration, asyncio.CancelledError, self.rust.RustPanic, self.rust.LoopClosed)
        provoked = isinstance(error, kinds) or isinstance(error.__cause__, kinds)
        if not (provoked and context["message"].endswith("exception was never retrieved")):
            self.complaints.append(context)

    async def wait(self, kind, awaitable, outcomes, values=(None,)):
        """Awaits as somebody who gets one outcome, of these, and one of the values."""
        ticket = self.account.open(kind)
        try:
            value = await awaitable
            outcome = "value" if value in values else f"the wrong value {value!r}"
        except BaseException as error:
            self.close(ticket, self.named(error), outcomes)
            if isinstance(error, GeneratorExit) or (isinstance(error, asyncio.CancelledError) and self.ends):
                raise
        else:
            self.close(ticket, outcome, outcomes)

    def close(self, ticket, outcome, outcomes):
        """A ticket's outcome has come."""
        if self.ends:
            # A value, where a coroutine cleans up instead of being cancelled.
            outcomes = {*outcomes, "cancelled", "destroyed", "loop closed", "value"}
        self.account.close(ticket, outcome, outcomes)

    def named(self, error):
        """An error as an outcome."""
        names = {
            asyncio.CancelledError: "cancelled",
            asyncio.TimeoutError: "timeout",
            GeneratorExit: "destroyed",
            Provoked: "error",
            self.rust.LoopClosed: "loop closed",
            self.rust.RustPanic: "panic",
        }
        if self.ends and isinstance(error, ValueError) and str(error) == "coroutine already executing":
            # The collector ends a coroutine, and while that unwinds the one that awaits it: so it is with Python's own.
            return "destroyed"
        return names.get(type(error)) or f"{type(error).__name__}: {error}"

    def call_in_turns(self, turns, function):
        """Calls a function on the loop's thread, so many turns from now."""
        if turns == 0:
            function()
        else:
            self.loop.call_soon(self.call_in_turns, turns - 1, function)

    def call_from_thread(self, function):
        """Has another thread tell the loop to call."""

        def tell():
            try:
                self.loop.call_soon_threadsafe(function)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise

        self.workshop.do(tell)

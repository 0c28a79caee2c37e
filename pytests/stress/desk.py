"""One event loop in its thread, and its operations."""

import asyncio
import inspect
import random

from accounts import Account
from operations import choose_operation

# How many operations run at once on a loop.
AT_ONCE = 24


class Provoked(Exception):
    """An error that an operation provokes."""


class Parcel:
    """A value that crosses. It has its own class, so that the round recognizes a leaked one."""


class Desk:
    """A loop that performs a number of operations, and ends in one of three ways.

    `served` lets every operation finish. `cancelled` ends as `asyncio.run` does. `abandoned` closes the loop with everything in
    flight.
    """

    def __init__(self, rust, workshop, new_loop, seed, operations):
        self.rust, self.workshop, self.seed, self.operations = rust, workshop, seed, operations
        choose = random.Random(seed)
        self.ending = choose.choice(["served", "served", "cancelled", "abandoned"])
        self.account, self.complaints, self.detached = Account(), [], []
        # From then on, an await may end with the end of the loop instead of its own outcome.
        self.ends = False
        self.new_loop, self.loop = new_loop, new_loop()
        # Rust futures of this loop run in its thread, which must not wait for them.
        self.has_one_thread = new_loop is rust.new_event_loop
        # In debug mode, a coroutine from Rust starts a turn later. Python would warn about one that is abandoned in between.
        self.loop.set_debug(self.ending != "abandoned" and choose.random() < 0.1)
        # Debug mode would log every step that a busy machine makes slow.
        self.loop.slow_callback_duration = float("inf")
        self.loop.set_exception_handler(self._complain)

    def run(self):
        """Runs the loop. It is called once, in the thread of the loop."""
        try:
            self.loop.run_until_complete(self._serve())
            if self.ending == "cancelled":
                self._cancel_all()
        finally:
            self.ends = True
            for task in asyncio.all_tasks(self.loop):
                # The task never ends on purpose, so asyncio should not report it.
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
            # The callbacks of a cancelled future run in the next turn.
            await asyncio.sleep(0)
            return
        # Let every coroutine start: Python warns about one that never does.
        for _ in range(3):
            await asyncio.sleep(0)
        # The helper thread of a loop without descriptors may take more turns. Rust closes those that it has not detached.
        while any(inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED for coroutine in self.detached):
            await asyncio.sleep(0)
        self.detached.clear()
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
        """Records a call of the exception handler, except that for an unretrieved error that an operation provoked."""
        error = context.get("exception")
        kinds = (Provoked, StopIteration, asyncio.CancelledError, self.rust.RustPanic, self.rust.LoopClosed)
        provoked = isinstance(error, kinds) or isinstance(error.__cause__, kinds)
        if not (provoked and context["message"].endswith("exception was never retrieved")):
            self.complaints.append(context)

    async def wait(self, kind, awaitable, outcomes, values=(None,)):
        """Awaits with a ticket, which expects one of these outcomes and one of the values."""
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
        """Closes a ticket with its outcome."""
        if self.ends:
            # A cancellable coroutine may clean up and return a value instead.
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
            # The collector ends a coroutine, and during its unwinding the one that awaits it. Python coroutines do the same.
            return "destroyed"
        return names.get(type(error)) or f"{type(error).__name__}: {error}"

    def call_in_turns(self, turns, function):
        """Calls a function on the loop's thread after so many turns."""
        if turns == 0:
            function()
        else:
            self.loop.call_soon(self.call_in_turns, turns - 1, function)

    def call_from_thread(self, function):
        """Schedules a call on the loop from another thread."""

        def tell():
            try:
                self.loop.call_soon_threadsafe(function)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise

        self.workshop.do(tell)

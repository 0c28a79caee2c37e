"""The start and the end of the application."""

import asyncio


class Failed(Exception):
    """The application says that it has failed to start up or to shut down."""


class Lifespan:
    """The application's task for its own start and end."""

    def __init__(self, app, scope):
        self.phase = None
        self.events, self.answers = asyncio.Queue(), asyncio.Queue()
        self.task = asyncio.ensure_future(app(scope, self.events.get, self.send))

    async def send(self, message):
        if message["type"] not in (f"{self.phase}.complete", f"{self.phase}.failed"):
            expected = f"'{self.phase}.complete'" if self.phase else "no ASGI message"
            raise RuntimeError(f"Expected {expected} at this point of the lifespan.")
        self.phase = None
        self.answers.put_nowait(message)

    async def go_through(self, phase):
        """Returns when the application says that it is complete. Raises if it fails or ends before."""
        self.phase = phase
        self.events.put_nowait({"type": phase})
        answer = asyncio.ensure_future(self.answers.get())
        await asyncio.wait([answer, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self.task
            raise RuntimeError("the application has returned from its lifespan before it said that it was complete")
        if answer.result()["type"].endswith(".failed"):
            raise Failed(answer.result().get("message", ""))

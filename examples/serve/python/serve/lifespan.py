"""The start and the end of the application."""

import asyncio
import logging

log = logging.getLogger("serve.error")

ASGI = {"version": "3.0", "spec_version": "2.5"}


class Lifespan:
    """The application's task for its own start and end."""

    def __init__(self, mode, app, state):
        self.mode = mode
        self.app = app
        self.scope = {"type": "lifespan", "asgi": ASGI, "state": state}
        self.phase = None
        self.events, self.answers = asyncio.Queue(), asyncio.Queue()

    async def run(self):
        try:
            await self.app(self.scope, self.events.get, self.send)
            error = RuntimeError("the application has returned from its lifespan before it said that it was complete")
        except Exception as raised:
            error = raised
        self.answers.put_nowait(error)

    async def send(self, message):
        if message["type"] not in (f"{self.phase}.complete", f"{self.phase}.failed"):
            raise RuntimeError(f"Expected '{self.phase}.complete' at this point of the lifespan.")
        self.phase = None
        self.answers.put_nowait(message)

    async def goes_through(self, name):
        """Waits until the application has started up or shut down. Returns whether it has not failed."""
        if self.mode == "off":
            return True
        log.info("Waiting for application %s.", name)
        if name == "startup":
            self.task = asyncio.ensure_future(self.run())
        self.phase = f"lifespan.{name}"
        self.events.put_nowait({"type": self.phase})
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            if self.mode == "auto" and name == "startup":
                log.info("ASGI 'lifespan' protocol appears unsupported.")
                self.mode = "off"
                return True
            log.error("Exception in 'lifespan' protocol\n", exc_info=answer)
        elif answer["type"].endswith(".complete"):
            log.info("Application %s complete.", name)
            return True
        else:
            log.error("%s", answer.get("message", ""))
        log.error("Application %s failed. Exiting.", name)
        return False

"""One process that serves."""

import asyncio
import importlib
import logging
import operator
import os
import signal
import sys
import traceback

from . import _serve
from .lifespan import Failed, Lifespan

error_log = logging.getLogger("serve.error")
access_log = logging.getLogger("serve.access")

# What uvicorn's users know.
APPLICATION_FAILED = 3
STOPPED_AT_ONCE = 128

# How long, in seconds, cancelled tasks may clean up.
CLEAN_UP = 1

# The first step comes at once, and not in the next turn of the loop.
EAGER = {"eager_start": True} if sys.version_info >= (3, 12) else {}

ASGI = {"version": "3.0", "spec_version": "2.5"}


class Failure(Exception):
    """Ends the program with a sentence."""

    def __init__(self, sentence, code=1):
        super().__init__(sentence)
        self.code = code


def serve(arguments, listener, serving):
    """Serves until a signal. Returns the exit code. `serving` is called with the worker when it begins to serve."""
    worker = Worker(arguments, load(arguments))
    _serve.use_threads(arguments.threads)
    event_loop = new_event_loop(arguments.loop)
    asyncio.set_event_loop(event_loop)
    try:
        return event_loop.run_until_complete(worker.main(listener, serving))
    finally:
        # As asyncio.run does.
        left = asyncio.all_tasks(event_loop)
        for task in left:
            task.cancel()
        event_loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        event_loop.run_until_complete(event_loop.shutdown_asyncgens())
        event_loop.run_until_complete(event_loop.shutdown_default_executor())
        event_loop.close()


def new_event_loop(name):
    if name == "tokio":
        return _serve.new_event_loop()
    try:
        return importlib.import_module(name).new_event_loop()
    except ImportError as error:
        raise Failure(f"cannot import {name!r}: {error}") from None


def load(arguments):
    """Imports the application."""
    sys.path.insert(0, arguments.app_dir)
    module_name, _, names = arguments.app.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # What the module itself does not find has its traceback.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise Failure(f"cannot import {module_name!r}: {error}") from None
    try:
        found = operator.attrgetter(names)(module)
    except AttributeError as error:
        raise Failure(f"cannot find {arguments.app!r}: {error}") from None
    app = found() if arguments.factory else found
    if not callable(app):
        raise Failure(f"{arguments.app!r} is no application: {app!r} is not callable")
    return app


class Worker:
    def __init__(self, arguments, app):
        self.arguments = arguments
        self.app = app
        self.tasks = {}
        self.exit_code = 0

    async def main(self, listener, serving):
        error_log.info("Started server process [%d]", os.getpid())
        state = {}
        self.server = self.new_server(state)
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self.stop, number)
        lifespan = await self.start_up(state)
        serving(self)
        if not await self.server.serve(listener):
            error_log.error("Cancelling %d requests that did not end in time", self.server.tasks)
            tasks = list(self.tasks.values())
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CLEAN_UP)
        if lifespan is not None:
            await self.shut_down(lifespan)
        error_log.info("Finished server process [%d]", os.getpid())
        return self.exit_code

    def new_server(self, state):
        event_loop = asyncio.get_running_loop()

        def start(scope, exchange):
            # Half of what `create_task` costs. A name of its own, such as Task-7, would take as long as an eighth of it.
            task = asyncio.Task(self.run(scope, exchange), loop=event_loop, name="request", **EAGER)
            if not task.done():
                self.tasks[exchange] = task

        # The server sets what is None, and what differs for a request. A key that is there does not make a copy grow.
        common = {"asgi": ASGI, "http_version": "1.1", "root_path": self.arguments.root_path}
        common |= dict.fromkeys(["path", "raw_path", "query_string", "headers", "client", "server", "state"])
        s = "s" if self.arguments.tls_cert else ""
        http = {"type": "http", "scheme": "http" + s, "method": "GET", "extensions": {}}
        websocket = {"type": "websocket", "scheme": "ws" + s, "subprotocols": None}
        websocket["extensions"] = {"websocket.http.response": {}}
        try:
            return _serve.Server(start, [http | common, websocket | common], state, vars(self.arguments))
        except ValueError as error:
            raise Failure(str(error)) from None

    async def start_up(self, state):
        """Returns None if the application has no lifespan."""
        if self.arguments.lifespan == "off":
            return None
        error_log.info("Waiting for application startup.")
        lifespan = Lifespan(self.app, {"type": "lifespan", "asgi": ASGI, "state": state})
        try:
            await lifespan.go_through("lifespan.startup")
        except Exception as error:
            if isinstance(error, Failed):
                error_log.error("%s", error)
            elif self.arguments.lifespan == "auto":
                error_log.info("ASGI 'lifespan' protocol appears unsupported.")
                return None
            else:
                error_log.error("Exception in 'lifespan' protocol\n", exc_info=error)
            raise Failure("Application startup failed. Exiting.", APPLICATION_FAILED) from None
        error_log.info("Application startup complete.")
        return lifespan

    async def shut_down(self, lifespan):
        error_log.info("Waiting for application shutdown.")
        try:
            await lifespan.go_through("lifespan.shutdown")
        except Exception as error:
            error_log.error("Exception in 'lifespan' protocol\n", exc_info=error)
            self.exit_code = APPLICATION_FAILED
        else:
            error_log.info("Application shutdown complete.")

    def stop(self, number):
        if self.server.stop():
            error_log.info("Shutting down")
            if self.server.tasks:
                error_log.info("Waiting for %d requests to end. (CTRL+C to force quit)", self.server.tasks)
        else:
            self.exit_code = STOPPED_AT_ONCE + number

    async def run(self, scope, exchange):
        """The application's task for one request or one WebSocket."""
        has_failed = True
        try:
            await self.app(scope, exchange.receive, exchange.send)
            has_failed = False
        except Exception as error:
            if _serve.ClientDisconnected not in (type(error), type(error.__context__)):
                error_log.error("Exception in ASGI application\n", exc_info=error)
            # An exception of a task and the frame that refers to the task hold each other, and a generator in between would only be
            # closed by the garbage collector. Django's handler has both.
            traceback.clear_frames(error.__traceback__)
        finally:
            self.tasks.pop(exchange, None)
            missing = exchange.end(has_failed)
            if missing is not None:
                error_log.error(missing)
            if self.arguments.access_log:
                log_access(scope, exchange.status)


def log_access(scope, status):
    client = ":".join(map(str, scope["client"] or "-"))
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    target = (scope["raw_path"] + query).decode("latin-1")
    method = scope.get("method", "WebSocket")
    access_log.info('%s - "%s %s HTTP/%s" %s', client, method, target, scope["http_version"], status)

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
from .lifespan import ASGI, Lifespan

error_log = logging.getLogger("serve.error")
access_log = logging.getLogger("serve.access")

# What uvicorn's users know.
APPLICATION_FAILED = 3
STOPPED_AT_ONCE = 128

# How long, in seconds, cancelled tasks may clean up.
CLEAN_UP = 1

# The first step comes at once, and not in the next turn of the loop.
EAGER = {"eager_start": True} if sys.version_info >= (3, 12) else {}


def serve(arguments, listener, supervisor=None):
    """Serves until a signal. Returns the exit code."""
    worker = Worker(arguments, load(arguments), listener)
    # Where tokio has threads, one is enough for the sockets.
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    module = "serve" if arguments.loop == "tokio" else arguments.loop
    event_loop = import_module(module).new_event_loop()
    asyncio.set_event_loop(event_loop)
    try:
        return event_loop.run_until_complete(worker.main(supervisor))
    finally:
        # As asyncio.run does.
        left = asyncio.all_tasks(event_loop)
        for task in left:
            task.cancel()
        event_loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        event_loop.run_until_complete(event_loop.shutdown_asyncgens())
        event_loop.run_until_complete(event_loop.shutdown_default_executor())
        event_loop.close()


def load(arguments):
    """Imports the application."""
    sys.path.insert(0, arguments.app_dir)
    module, _, names = arguments.app.partition(":")
    try:
        app = operator.attrgetter(names)(import_module(module))
    except AttributeError as error:
        fail(f"cannot find {arguments.app!r}: {error}")
    if arguments.factory:
        app = app()
    if not callable(app):
        fail(f"{arguments.app!r} is no application: {app!r} is not callable")
    return app


def tell(arguments, listener):
    """Says where a client finds the server."""
    host, port = listener.address
    scheme = "https" if arguments.tls_cert else "http"
    place = f"unix socket {host}" if port is None else f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    error_log.info("Serving on %s (Press CTRL+C to quit)", place)


def fail(sentence):
    error_log.error("%s", sentence)
    sys.exit(1)


def import_module(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # If the module is there and imports something that is missing, the traceback says where.
        if not name.startswith(error.name or " "):
            raise
        fail(f"cannot import {name!r}: {error}")


class Worker:
    def __init__(self, arguments, app, listener):
        self.arguments = arguments
        self.app = app
        self.listener = listener
        self.tasks = {}
        self.exit_code = 0

    async def main(self, supervisor):
        error_log.info("Started server process [%d]", os.getpid())
        state, event_loop = {}, asyncio.get_running_loop()
        self.server = self.new_server(state, event_loop)
        # Ctrl-C reaches a supervisor too, which then tells its workers.
        for number in (signal.SIGTERM,) if supervisor else (signal.SIGINT, signal.SIGTERM):
            event_loop.add_signal_handler(number, self.stop, number)
        lifespan = Lifespan(self.arguments.lifespan, self.app, state)
        if not await lifespan.goes_through("startup"):
            return APPLICATION_FAILED
        if supervisor is None:
            tell(self.arguments, self.listener)
        else:
            supervisor.has_served.value = True
            event_loop.add_reader(supervisor.parent_lives, self.parent_died, supervisor.parent_lives)
        if not await self.server.serve(self.listener):
            error_log.error("Cancelling %d requests that did not end in time", self.server.tasks)
            tasks = list(self.tasks.values())
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CLEAN_UP)
        if not await lifespan.goes_through("shutdown"):
            self.exit_code = APPLICATION_FAILED
        error_log.info("Finished server process [%d]", os.getpid())
        return self.exit_code

    def new_server(self, state, event_loop):
        def start(scope, exchange):
            # Half of what `create_task` costs. A name of its own, such as Task-7, would take as long as an eighth of it.
            task = asyncio.Task(self.run(scope, exchange), loop=event_loop, name="request", **EAGER)
            if not task.done():
                self.tasks[exchange] = task

        # The server sets what is None, and what is not the most common. A key that is there does not make a copy grow.
        common = {"asgi": ASGI, "http_version": "1.1", "root_path": self.arguments.root_path, "server": self.listener.address}
        common |= dict.fromkeys(["path", "raw_path", "query_string", "headers", "client", "state"])
        s = "s" if self.arguments.tls_cert else ""
        http = {"type": "http", "scheme": "http" + s, "method": "GET", "extensions": {}}
        websocket = {"type": "websocket", "scheme": "ws" + s, "extensions": {"websocket.http.response": {}}}
        try:
            return _serve.Server(start, [http | common, websocket | common], state, vars(self.arguments))
        except ValueError as error:
            fail(error)

    def stop(self, number):
        if self.server.stop():
            error_log.info("Shutting down")
            if self.server.tasks:
                error_log.info("Waiting for %d requests to end. (CTRL+C to force quit)", self.server.tasks)
        else:
            self.exit_code = STOPPED_AT_ONCE + number

    def parent_died(self, pipe):
        asyncio.get_running_loop().remove_reader(pipe)
        self.stop(signal.SIGTERM)

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
            missing, status = exchange.end(has_failed)
            if missing and not has_failed:
                error_log.error(missing)
            if self.arguments.access_log:
                log_access(scope, status)


def log_access(scope, status):
    client = ":".join(map(str, scope["client"] or "-"))
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    target = (scope["raw_path"] + query).decode("latin-1")
    method = scope.get("method", "WebSocket")
    access_log.info('%s - "%s %s HTTP/%s" %s', client, method, target, scope["http_version"], status)

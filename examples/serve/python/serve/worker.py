"""One process that serves."""

import asyncio
import importlib
import logging
import os
import signal
import sys
import traceback

from . import _serve

error_log = logging.getLogger("serve.error")
access_log = logging.getLogger("serve.access")

# What uvicorn's users know.
STARTUP_FAILED = 3
STOPPED_AT_ONCE = 128


# The first step comes at once, and not in the next turn of the loop.
EAGER = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Failure(Exception):
    """Ends the program with a sentence."""

    def __init__(self, sentence, code=1):
        super().__init__(sentence)
        self.code = code


def serve(arguments, listener, serves=None, parent_lives=None):
    """Serves until a signal. Returns the exit code. A supervisor is told that the worker serves, and closes a pipe when it dies."""
    worker = Worker(arguments, load(arguments), listener, serves, parent_lives)
    if arguments.loop != "tokio":
        _serve.use_threads(arguments.threads)
    event_loop = new_event_loop(arguments.loop)
    try:
        return event_loop.run_until_complete(worker.main())
    finally:
        close(event_loop)


def new_event_loop(name):
    if name == "tokio":
        event_loop = _serve.new_event_loop()
    elif name == "asyncio":
        event_loop = asyncio.new_event_loop()
    else:
        try:
            import uvloop
        except ImportError:
            raise Failure("uvloop is not installed: pip install uvloop") from None
        event_loop = uvloop.new_event_loop()
    asyncio.set_event_loop(event_loop)
    return event_loop


def close(event_loop):
    """Ends what still runs, as asyncio.run does."""
    try:
        left = asyncio.all_tasks(event_loop)
        for task in left:
            task.cancel()
        event_loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        event_loop.run_until_complete(event_loop.shutdown_asyncgens())
        event_loop.run_until_complete(event_loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        event_loop.close()


def load(arguments):
    """Imports the application."""
    sys.path.insert(0, arguments.app_dir)
    module_name, _, names = arguments.app.partition(":")
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise Failure(f"cannot import {module_name!r}: {error}") from None
    for name in names.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise Failure(f"cannot find {arguments.app!r}: {error}") from None
    if arguments.factory:
        found = found()
    if not callable(found):
        raise Failure(f"{arguments.app!r} is no application: {found!r} is not callable")
    return found


def place(arguments, listener):
    """Where a client finds the server."""
    host, port = listener.address
    if port is None:
        return f"unix socket {host}"
    scheme = "http" if arguments.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class Worker:
    def __init__(self, arguments, app, listener, serves, parent_lives):
        self.arguments = arguments
        self.app = app
        self.listener = listener
        self.serves = serves
        self.parent_lives = parent_lives
        self.server = None
        self.tasks = {}
        self.stopped_by = None
        self.exit_code = 0

    async def main(self):
        arguments, state = self.arguments, {}
        error_log.info("Started server process [%d]", os.getpid())
        event_loop = asyncio.get_running_loop()
        run = self.run_logged if arguments.access_log else self.run

        def start(scope, exchange):
            # Half of what `create_task` costs. A name of its own, such as Task-7, would take as long as an eighth of it.
            task = asyncio.Task(run(scope, exchange), loop=event_loop, name="request", **EAGER)
            if not task.done():
                self.tasks[exchange] = task

        try:
            self.server = _serve.Server(start, state, vars(arguments))
        except ValueError as error:
            raise Failure(str(error)) from None
        for number in (signal.SIGTERM,) if self.serves is not None else (signal.SIGINT, signal.SIGTERM):
            event_loop.add_signal_handler(number, self.stop, number)
        lifespan = await self.start_up(state)
        if self.serves is not None:
            self.serves.value = True
            event_loop.add_reader(self.parent_lives, self.stop, signal.SIGTERM)
        else:
            error_log.info("Serving on %s (Press CTRL+C to quit)", place(arguments, self.listener))
        if self.stopped_by is None:
            if not await self.server.serve(self.listener):
                error_log.error("Cancelling %d requests that did not end in time", self.server.tasks)
                for task in list(self.tasks.values()):
                    task.cancel()
                await self.server.cleaned_up()
        if lifespan is not None:
            await self.shut_down(lifespan)
        error_log.info("Finished server process [%d]", os.getpid())
        return self.exit_code

    async def start_up(self, state):
        """Returns None if the application has no lifespan."""
        if self.arguments.lifespan == "off":
            return None
        error_log.info("Waiting for application startup.")
        lifespan = _serve.Lifespan()
        try:
            await lifespan.startup(self.app, state)
        except _serve.LifespanFailed as error:
            if str(error):
                error_log.error("%s", error)
            raise Failure("Application startup failed. Exiting.", STARTUP_FAILED) from None
        except Exception as error:
            if self.arguments.lifespan == "auto":
                error_log.info("ASGI 'lifespan' protocol appears unsupported.")
                return None
            error_log.error("Exception in 'lifespan' protocol\n", exc_info=error)
            raise Failure("Application startup failed. Exiting.", STARTUP_FAILED) from None
        error_log.info("Application startup complete.")
        return lifespan

    async def shut_down(self, lifespan):
        error_log.info("Waiting for application shutdown.")
        try:
            await lifespan.shutdown()
        except Exception as error:
            error_log.error("Exception in 'lifespan' protocol\n", exc_info=error)
            self.exit_code = STARTUP_FAILED
        else:
            error_log.info("Application shutdown complete.")

    def stop(self, number):
        if self.serves is not None:
            asyncio.get_running_loop().remove_reader(self.parent_lives)
        self.stopped_by = number
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
            if not isinstance(error, _serve.ClientDisconnected) and not isinstance(
                error.__context__, _serve.ClientDisconnected
            ):
                error_log.error("Exception in ASGI application\n", exc_info=error)
            # An exception of a task and the frame that refers to the task hold each other, and a generator in between would only be
            # closed by the garbage collector. Django's handler has both.
            traceback.clear_frames(error.__traceback__)
        finally:
            self.tasks.pop(exchange, None)
            missing = exchange.end(has_failed)
            if missing is not None:
                error_log.error(missing)

    async def run_logged(self, scope, exchange):
        try:
            await self.run(scope, exchange)
        finally:
            client = scope["client"]
            target = (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode("latin-1")
            access_log.info(
                '%s - "%s %s HTTP/%s" %s',
                f"{client[0]}:{client[1]}" if client else "-",
                scope.get("method", "WebSocket"),
                target,
                scope["http_version"],
                exchange.status,
            )

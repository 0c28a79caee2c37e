"""Several processes that serve one socket."""

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import wait

from . import worker

log = logging.getLogger("serve.error")

# The workers share the socket, and the parent has no thread when they begin.
fork = multiprocessing.get_context("fork")

# A worker that ends sooner than this, in seconds, is replaced only after that time.
SHORTEST_LIFE = 1

STOPS = signal.SIGINT, signal.SIGTERM


class Supervisor:
    """Starts workers, replaces those that die, and stops them on a signal."""

    def __init__(self, arguments, listener):
        self.arguments = arguments
        self.listener = listener
        self.workers = {}
        self.is_stopping = False
        self.exit_code = 0
        self.has_served = fork.Value("b", False, lock=False)
        # A worker that finds it closed has lost its parent.
        self.parent_lives, self.parent = os.pipe()

    def run(self):
        """Returns the exit code."""
        log.info("Started parent process [%d]", os.getpid())
        for number in STOPS:
            signal.signal(number, self.stop)
        for _ in range(self.arguments.workers):
            self.start()
        while self.workers:
            for sentinel in wait(list(self.workers)):
                self.ended(*self.workers.pop(sentinel))
        log.info("Stopping parent process [%d]", os.getpid())
        return self.exit_code

    def start(self):
        # The signal may have come since the last worker began, or ended.
        if self.is_stopping:
            return
        process = fork.Process(target=self.child)
        # A signal waits until the child has handlers of its own: that of the parent would stop the other workers again.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            process.start()
            self.workers[process.sentinel] = process, time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def child(self):
        os.close(self.parent)
        # Ctrl-C reaches all processes of a terminal, and the parent passes it on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            code = worker.serve(self.arguments, self.listener, self.serving)
        except worker.Failure as error:
            log.error("%s", error)
            code = error.code
        sys.exit(code)

    def serving(self, serving):
        self.has_served.value = True
        event_loop = asyncio.get_running_loop()

        def parent_died():
            event_loop.remove_reader(self.parent_lives)
            serving.stop(signal.SIGTERM)

        event_loop.add_reader(self.parent_lives, parent_died)

    def ended(self, process, started):
        process.join()
        code = process.exitcode
        if self.is_stopping:
            # A worker that has just begun does not handle the signal yet.
            self.exit_code = self.exit_code or (0 if code == -signal.SIGTERM else abs(code))
        elif self.has_served.value:
            log.error("Child process [%d] died with exit code %d, and is replaced", process.pid, code)
            time.sleep(max(0, started + SHORTEST_LIFE - time.monotonic()))
            self.start()
        else:
            # The next one would fail as this one did.
            self.exit_code = abs(code) or 1
            self.stop()

    def stop(self, *_signal):
        """The second time, the workers do not wait for their requests."""
        self.is_stopping = True
        self.listener.close()
        for process, _ in self.workers.values():
            process.terminate()

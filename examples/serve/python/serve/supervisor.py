"""Several processes that serve one socket."""

import logging
import multiprocessing
import os
import signal
import sys
import time

from . import worker

log = logging.getLogger("serve.error")

# The workers share the socket, and the parent has no thread when they begin.
fork = multiprocessing.get_context("fork")

# The parent waits for these signals. It blocks them, so that none is lost.
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGCHLD

# A worker that has died is replaced after this time, in seconds.
PAUSE = 0.5


class Supervisor:
    """Starts workers, replaces those that die, and stops them on a signal."""

    def __init__(self, arguments, listener):
        self.arguments = arguments
        self.listener = listener
        self.workers = []
        self.is_stopping = False
        self.exit_code = 0
        self.has_served = fork.Value("b", False, lock=False)
        # A worker that finds it closed has lost its parent.
        self.parent_lives, self.parent = os.pipe()

    def run(self):
        """Returns the exit code."""
        worker.tell(self.arguments, self.listener)
        log.info("Started parent process [%d]", os.getpid())
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for _ in range(self.arguments.workers):
            self.start()
        while self.workers:
            if signal.sigwait(SIGNALS) != signal.SIGCHLD:
                self.stop()
            for process in [it for it in self.workers if it.exitcode is not None]:
                self.workers.remove(process)
                self.ended(process)
        log.info("Stopping parent process [%d]", os.getpid())
        return self.exit_code

    def start(self):
        process = fork.Process(target=self.child)
        process.start()
        self.workers.append(process)

    def child(self):
        os.close(self.parent)
        # Ctrl-C reaches all processes of a terminal, and the parent passes it on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        sys.exit(worker.serve(self.arguments, self.listener, self))

    def ended(self, process):
        if self.is_stopping:
            # A worker that has just begun does not handle the signal yet.
            code = 0 if process.exitcode == -signal.SIGTERM else abs(process.exitcode)
            self.exit_code = self.exit_code or code
        elif self.has_served.value:
            log.error("Child process [%d] died with exit code %d, and is replaced", process.pid, process.exitcode)
            time.sleep(PAUSE)
            self.start()
        else:
            # The next one would fail as this one did.
            self.exit_code = abs(process.exitcode) or 1
            self.stop()

    def stop(self):
        """The second time, the workers do not wait for their requests."""
        self.is_stopping = True
        self.listener.close()
        for process in self.workers:
            process.terminate()

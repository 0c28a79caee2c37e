"""One round: threads with their loops, threads that help them, and what must hold when all have ended."""

import gc
import queue
import sys
import threading
import time
from collections import Counter

import forks  # noqa: F401 (operations register themselves)
import python_to_rust  # noqa: F401
import rust_to_python  # noqa: F401
from desk import Desk
from leftovers import descriptors, eventually, threads

THREADS, LOOPS_PER_THREAD, OPERATIONS_PER_LOOP = 8, 3, 60
HELPERS = 3
# What a round makes, and what none must leave.
OURS = {"RustFuture", "RustCoroutine", "Gate", "Parcel", "Provoked", "Desk", "Callback", "Task"}


# Seconds after which a round hangs.
HANGS_AFTER = 120


class Hangs(Exception):
    """A round does not end. The arguments say who waits on which loop."""


class Workshop:
    """Threads that do what the desks ask for."""

    def __init__(self, findings, forks):
        self.findings, self.forks = findings, forks
        self.desks, self._jobs = [], queue.SimpleQueue()
        self._helpers = [threading.Thread(target=self._work) for _ in range(HELPERS)]
        for helper in self._helpers:
            helper.start()

    def do(self, job):
        self._jobs.put(job)

    def desk(self, fraction):
        """One of the desks that have begun."""
        return self.desks[int(fraction * len(self.desks))]

    def close(self):
        for _ in self._helpers:
            self._jobs.put(None)
        for helper in self._helpers:
            helper.join()

    def _work(self):
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job()
            except BaseException as error:
                self.findings.append(f"a helping thread ended a job with {error!r}")
            # With what it holds: it may be what somebody waits to see dropped.
            del job


class Round:
    """Everything at once, under a seed."""

    def __init__(self, rust, loops, seed, forks=False):
        self.rust, self.loops, self.seed, self.forks = rust, loops, seed, forks
        self.findings, self.totals = [], Counter()

    def run(self):
        self._live = self.rust.made() - self.rust.dropped()
        # What somebody holds from before is not this round's.
        self._known = {id(it) for it in gc.get_objects() if type(it).__name__ in OURS}
        before = descriptors(), threads()
        unraisable, hook = [], sys.unraisablehook
        sys.unraisablehook = lambda it: unraisable.append(f"{it.err_msg}: {it.exc_value!r} in {it.object!r}")
        try:
            self._run_threads()
            self._settle()
        finally:
            sys.unraisablehook = hook
        self.findings += [f"unraisable: {text}" for text in unraisable]
        self._compare(*before)

    def _run_threads(self):
        workshop = Workshop(self.findings, self.forks)
        workers = [threading.Thread(target=self._work, args=(workshop, number)) for number in range(THREADS)]
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + HANGS_AFTER
        for worker in workers:
            worker.join(max(0, deadline - time.monotonic()))
            if worker.is_alive():
                waiting = [(desk, desk.account.waiting()) for desk in workshop.desks]
                raise Hangs(*(f"{desk.seed}, {desk.ending}: {kinds}" for desk, kinds in waiting if kinds))
        workshop.close()
        self._desks = workshop.desks

    def _work(self, workshop, thread):
        kinds = list(self.loops.values())
        for number in range(LOOPS_PER_THREAD):
            new_loop = kinds[(thread + number) % len(kinds)]
            seed = f"{self.seed}/{thread}/{number}"
            desk = Desk(self.rust, workshop, new_loop, seed, OPERATIONS_PER_LOOP)
            workshop.desks.append(desk)
            try:
                desk.run()
            except BaseException as error:
                self.findings.append(f"the loop {seed} ended with {error!r}")

    def _settle(self):
        """Lets go of what is in flight, then asks everyone for their accounts."""
        gc.collect()
        try:
            self.rust.wait_until_live(self._live)
        except TimeoutError as error:
            self.findings.append(str(error))
        # A drop on the runtime can leave something for a thread that holds the interpreter: once more.
        gc.collect()
        for desk in self._desks:
            self.totals += desk.account.totals()
            self.findings += desk.account.findings()
            self.findings += [f"a loop's handler was told {context!r}" for context in desk.complaints]
        del self._desks, desk
        gc.collect()

    def _compare(self, descriptors_before, threads_before):
        live = self.rust.made() - self.rust.dropped()
        if live != self._live:
            self.findings.append(f"{live} Rust futures live, {self._live} did before")
        if not eventually(lambda: len(descriptors()) <= len(descriptors_before)):
            self.findings.append(f"descriptors are left: {descriptors()}, before: {descriptors_before}")
        if not eventually(lambda: threads() <= threads_before):
            self.findings.append(f"{threads()} threads are left of {threads_before}")
        # A worker may be about to let go of what its future came to, and leaves that to the next thread that attaches.
        if not eventually(lambda: self.rust.made() and gc.collect() >= 0 and not self._left()):
            left = self._left()
            counts = dict(Counter(type(it).__name__ for it in left))
            self.findings.append(f"objects are left: {counts}, one held by {' of '.join(holders(left))}")

    def _left(self):
        return [it for it in gc.get_objects() if type(it).__name__ in OURS and id(it) not in self._known]


def holders(objects):
    """What holds the first of the objects, what holds that, and so on, as far as Python knows."""
    held = objects[:1]
    while len(held) < 8:
        referrers = gc.get_referrers(held[-1])
        # Lists, and the frame of this function, are those of this search.
        more = [it for it in referrers if not isinstance(it, list) and it is not sys._getframe() and it not in held]
        if not more:
            break
        held.append(more[0])
    return [repr(it)[:100] for it in held]

"""One round: threads with their loops, helper threads, and the checks at the end."""

import gc
import queue
import sys
import threading
import time
from collections import Counter

import forks  # noqa: F401 (operations register themselves)
import python_to_rust  # noqa: F401
import rust_to_python  # noqa: F401
import streams  # noqa: F401
from desk import Desk
from leftovers import descriptors, eventually, threads

THREADS, LOOPS_PER_THREAD, OPERATIONS_PER_LOOP = 8, 3, 60
HELPERS = 3
# The classes of objects that a round makes and must not leak.
OURS = {"RustFuture", "RustCoroutine", "Gate", "Parcel", "Provoked", "Desk", "Callback", "Task"}


# Seconds after which a round hangs.
HANGS_AFTER = 120


class Hangs(Exception):
    """A round does not end. The arguments name the waiting awaits of each loop."""


class Workshop:
    """Helper threads that run jobs for the desks."""

    def __init__(self, findings, forks):
        self.findings, self.forks = findings, forks
        self.desks, self._jobs = [], queue.SimpleQueue()
        self._helpers = [threading.Thread(target=self._work) for _ in range(HELPERS)]
        for helper in self._helpers:
            helper.start()

    def do(self, job):
        self._jobs.put(job)

    def desk(self, fraction):
        """One of the desks that have started."""
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
                self.findings.append(f"a helper thread ended a job with {error!r}")
            # Drop the job with its objects: another thread may wait for their drop.
            del job


class Round:
    """One run of all threads, determined by a seed."""

    def __init__(self, rust, loops, seed, forks=False):
        self.rust, self.loops, self.seed, self.forks = rust, loops, seed, forks
        self.findings, self.totals = [], Counter()

    def run(self):
        self._live = self.rust.made() - self.rust.dropped()
        # Older objects do not belong to this round.
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
        """Waits for the futures in flight, then collects the accounts."""
        gc.collect()
        try:
            self.rust.wait_until_live(self._live)
        except TimeoutError as error:
            self.findings.append(str(error))
        # A worker that has counted its drop may still hold what the future held. It leaves that for the next thread that attaches.
        eventually(lambda: self.rust.made() and gc.collect() >= 0 and not any(desk.account.waiting() for desk in self._desks))
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
        # A worker may be about to drop the outcome of its future. The next thread that attaches frees it.
        if not eventually(lambda: self.rust.made() and gc.collect() >= 0 and not self._left()):
            left = self._left()
            counts = dict(Counter(type(it).__name__ for it in left))
            self.findings.append(f"objects are left: {counts}, one held by {' of '.join(holders(left))}")

    def _left(self):
        return [it for it in gc.get_objects() if type(it).__name__ in OURS and id(it) not in self._known]


def holders(objects):
    """The chain of referrers of the first object, as far as Python knows it."""
    held = objects[:1]
    while len(held) < 8:
        referrers = gc.get_referrers(held[-1])
        # Exclude the lists and the frame of this search.
        more = [it for it in referrers if not isinstance(it, list) and it is not sys._getframe() and it not in held]
        if not more:
            break
        held.append(more[0])
    return [repr(it)[:100] for it in held]

"""One round: threads with their loops, threads that help them, and what must hold when all have ended."""

import gc
import queue
import sys
import threading
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


class Round:
    """Everything at once, under a seed."""

    def __init__(self, rust, loops, seed, forks=False):
        self.rust, self.loops, self.seed, self.forks = rust, loops, seed, forks
        self.findings, self.totals = [], Counter()

    def run(self):
        self._live = self.rust.made() - self.rust.dropped()
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
        for worker in workers:
            worker.join()
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
        left = [it for it in gc.get_objects() if type(it).__name__ in OURS]
        if left:
            counts = dict(Counter(type(it).__name__ for it in left))
            self.findings.append(f"objects are left: {counts}, one held by {' of '.join(holders(left))}")


def holders(objects):
    """What holds the first of the objects, what holds that, and so on, as far as Python knows."""
    seen, known = [objects, objects[0]], {id(objects), id(objects[0])}
    while len(seen) < 12:
        frames = [sys._getframe(depth) for depth in range(3)]
        more = [it for it in gc.get_referrers(seen[-1]) if id(it) not in known and it not in frames and it is not seen]
        if not more:
            break
        seen.append(more[0])
        known.add(id(more[0]))
    return [repr(it)[:80] for it in seen[1:]]

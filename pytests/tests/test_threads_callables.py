"""Eight threads call the internal callables at once that only Python should call: nothing is done twice or lost."""

import asyncio
import gc
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import THREADS_AT_ONCE, begin_together
from test_processes import finished


def at_the_same_time(work):
    with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
        return [thread.result() for thread in begin_together(pool, work)]


@pytest.fixture
def threadsafe(new_loop, haste):
    """A loop whose `call_soon` may be called on any thread. It keeps the `call_soon` that asyncio finds."""
    loop = new_loop()
    loop.set_debug(False)
    loop.kept = []

    class Threadsafe(type(loop)):
        def call_soon(self, *args, **kwargs):
            return self.call_soon_threadsafe(*args, **kwargs)

        def get_debug(self):
            # asyncio calls this while it makes a task.
            self.kept.append(self.call_soon)
            return super().get_debug()

    loop.__class__ = Threadsafe
    yield loop
    loop.kept.clear()
    loop.close()


@pytest.fixture
def default_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c(handler):
    try:
        handler(signal.SIGINT, None)
    except KeyboardInterrupt:
        return "interrupted"
    return "the run is cancelled"


def test_only_one_of_eight_threads_that_handle_ctrl_c_cancels_the_run(threadsafe, default_ctrl_c, rust):
    live = rust.made() - rust.dropped()
    for _ in range(20):
        told = []

        def handle(_):
            return ctrl_c(signal.getsignal(signal.SIGINT))

        with pytest.raises(KeyboardInterrupt):
            rust.run_until_complete(threadsafe, lambda: told.extend(at_the_same_time(handle)))
        # After the second interrupt the run does not wait for its future.
        rust.wait_until_live(live)
        assert sorted(told) == ["interrupted"] * (THREADS_AT_ONCE - 1) + ["the run is cancelled"]


def test_eight_threads_that_handle_ctrl_c_at_the_start_of_a_run_end_it(threadsafe, default_ctrl_c, rust):
    for _ in range(20):
        is_over = False

        def handle(_):
            while type(handler := signal.getsignal(signal.SIGINT)).__name__ != "Handler":
                if is_over:
                    return "late"
                time.sleep(0)
            return ctrl_c(handler)

        with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
            threads = begin_together(pool, handle)
            with pytest.raises(KeyboardInterrupt):
                rust.run_until_complete(threadsafe, lambda: None)
            is_over = True
        told = [thread.result() for thread in threads]
        # The count is 0 if the run notices the first call at its start, and ends before that call cancels it.
        assert told.count("the run is cancelled") <= 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_eight_threads_install_the_drain_once(new_loop, haste, rust):
    for _ in range(20):
        loop, installed = new_loop(), []
        for name in "add_reader", "call_later":

            def record(*args, original=getattr(loop, name)):
                installed.append(args)
                return original(*args)

            setattr(loop, name, record)
        futures = [rust.Gate().wait(loop) for _ in range(3)]
        (install,) = [it for it in gc.get_objects() if type(it).__name__ == "Install"]
        at_the_same_time(lambda _: install())
        assert len(installed) == 1
        assert [loop.run_until_complete(future) for future in futures] == [None] * 3
        del install
        loop.close()


HOOKS = """
import atexit, os
hooks = []

def kept(register):
    def keep(*functions, **named):
        # What `at_exit` registers is dropped when the process ends, unless somebody else keeps it.
        if hooks is not None:
            hooks.extend([*functions, *named.values()])
        return register(*functions, **named)
    return keep

atexit.register = kept(atexit.register)
if hasattr(os, "register_at_fork"):
    os.register_at_fork = kept(os.register_at_fork)

import asyncio, sys, threading
import pyo3_asyncio_pytests as rust

sys.setswitchinterval(1e-6)
asyncio.run(rust.turns(1, None))
(at_exit,) = [it for it in hooks if type(it).__name__ == "AtExit"]
of_forks = {it.__name__: it for it in hooks if type(getattr(it, "__self__", None)).__name__ == "AroundFork"}
hooks = None
together = threading.Barrier(8)

def eight_times(work):
    def begin():
        together.wait()
        for _ in range(ROUNDS):
            work()
    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    return threads

def join(threads):
    for thread in threads:
        thread.join()

async def uses():
    return await asyncio.gather(*(rust.turns(3, number) for number in range(100))) == list(range(100))
"""

AT_EXIT = """
async def used():
    try:
        return await uses()
    except rust.RuntimeStopped:
        return "stopped"

together, ROUNDS = threading.Barrier(8), 3
threads = eight_times(at_exit)
while any(thread.is_alive() for thread in threads):
    assert asyncio.run(used()) in (True, "stopped")
join(threads)
print(all(asyncio.run(uses()) for _ in range(10)))
"""

AT_FORKS = """
ROUNDS = 100

def fork():
    of_forks["before_fork"]()
    of_forks["after_fork_in_parent"]()

threads = eight_times(fork)
while any(thread.is_alive() for thread in threads):
    assert asyncio.run(uses())
join(threads)
print(all(asyncio.run(uses()) for _ in range(10)))
"""


AT = {"at exit": AT_EXIT}
if hasattr(os, "fork"):
    AT["at forks"] = AT_FORKS


@pytest.mark.parametrize("hooks", AT.values(), ids=AT.keys())
def test_rust_stays_usable_after_eight_threads_call_the_process_hooks(hooks):
    program = finished(HOOKS + hooks)
    assert (program.returncode, program.stdout, program.stderr) == (0, "True\n", "")

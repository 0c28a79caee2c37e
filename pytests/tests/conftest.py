"""Every test runs on each event loop; a process covers one doorbell and one runtime.

The doorbell and the runtime are chosen once in the life of a process. To cover one way of eight:

    pytest --doorbell call_soon_threadsafe --runtime async_std
"""

import asyncio
import faulthandler
import gc
import importlib.util
import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from leftovers import descriptors, eventually, threads

LOOPS = {"asyncio": asyncio.new_event_loop}
if sys.platform != "win32":
    try:
        import uvloop
    except ImportError:  # There is no build of it for this Python; the header of the run says which loops there are.
        pass
    else:
        LOOPS["uvloop"] = uvloop.new_event_loop

DOORBELL = "PYO3_ASYNCIO_DOORBELL"
RUNTIME = "PYTESTS_RUNTIME"
RUNTIMES = ["tokio", "tokio_current_thread", "async_std", "smol"]
# How many threads the runtimes have that ask the environment. rust.WORKERS knows it.
THREADS = {"ASYNC_STD_THREAD_COUNT": "2", "SMOL_THREADS": "2"}

# Seconds after which a loop, or a test, hangs. A loop is then stopped. If that does not help, the stacks of all threads are
# printed and the run ends.
LOOP_HANGS_AFTER, TEST_HANGS_AFTER = 240, 300
STDERR = pytest.StashKey()
THREADS_AT_ONCE = 8

# Some distributions package the test suite of Python on its own. The header says if it is missing, and `cargo xtask test` wants it.
HAS_CPYTHONS_TESTS = all(map(importlib.util.find_spec, ["test", "test.test_asyncio"]))

# The tests that also run with a collection of garbage between any two steps: those of one coroutine at a time.
COLLECTED = {
    "test_anyio",
    "test_attributes",
    "test_coroutine",
    "test_coroutine_cancel",
    "test_coroutine_life",
    "test_coroutine_ways",
    "test_eager_start",
}

# The tests in which a runtime has a hand: it starts, polls and drops futures, and has threads and locals of its own. It cannot see
# Python, so how a future looks from there is left to the run on tokio.
CROSSINGS = {
    "test_attributes",
    "test_block_on",
    "test_cancel",
    "test_coroutine_load",
    "test_interrupts",
    "test_load",
    "test_local",
    "test_locals",
    "test_metrics",
    "test_panics",
    "test_python_to_rust",
    "test_rust_future",
    "test_threads",
}


def pytest_addoption(parser):
    parser.addoption(
        "--brief",
        action="store_true",
        help="leave to another run what has little to do with the doorbell and the runtime: collections between the steps of a "
        "coroutine, most of the ways in which a program ends, most of the load, and, in debug mode and on any runtime but "
        "tokio's of many threads, all tests in which a runtime has no hand",
    )
    parser.addoption("--doorbell", choices=["add_reader", "call_soon_threadsafe"], help="how Rust wakes a loop")
    parser.addoption("--exits", type=int, default=100, help="how many programs end, in all; each way at least once")
    parser.addoption("--loops", type=int, default=300, help="how many loops close with everything in flight")
    parser.addoption("--runtime", choices=RUNTIMES, help="the Rust runtime, and tokio's flavor")


def pytest_ignore_collect(collection_path, config):
    """Leaves out what a system or a runtime has not: no other runtime than tokio can be ended, or started again in a child."""
    is_other = config.getoption("runtime") in RUNTIMES[1:] or "PYTHONASYNCIODEBUG" in os.environ
    if config.getoption("brief") and is_other and collection_path.suffix == ".py" and collection_path.stem not in CROSSINGS:
        return True
    if collection_path.name == "test_fork.py" and not hasattr(os, "fork"):
        return True
    if collection_path.name.startswith("test_cpython_") and not HAS_CPYTHONS_TESTS:
        return True
    # Its cases count turns of the loop, and the helper thread that rings comes in one or the other.
    if collection_path.name == "test_cpython_coroutines.py" and os.environ.get(DOORBELL) == "call_soon_threadsafe":
        return True
    if collection_path.name in ("test_closed_loops.py", "test_fork.py", "test_shutdown.py"):
        return True if config.getoption("runtime") in ("async_std", "smol") else None
    return None


def pytest_configure(config):
    # A backtrace would be a part of what panics say, and be printed with it.
    os.environ.pop("RUST_BACKTRACE", None)
    # The real one: later, descriptor 2 is pytest's.
    config.stash[STDERR] = os.dup(2)
    # Both variables are read when the module is imported or later, and are handed down to the processes of the tests.
    doorbell, runtime = config.getoption("doorbell"), config.getoption("runtime")
    if doorbell == "call_soon_threadsafe":
        os.environ[DOORBELL] = doorbell
    elif doorbell:
        os.environ.pop(DOORBELL, None)
    if runtime:
        os.environ[RUNTIME] = runtime
    os.environ.update(THREADS)
    # A shell ignores SIGINT for what it starts in the background, and every program of the tests would inherit that. A signal
    # with a handler is back at its default in a program that is started.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header():
    doorbell, runtime = os.environ.get(DOORBELL, "add_reader"), os.environ.get(RUNTIME, RUNTIMES[0])
    suite = "there" if HAS_CPYTHONS_TESTS else "missing"
    return f"doorbell: {doorbell}, runtime: {runtime}, loops: {', '.join(LOOPS)}, CPython's own tests: {suite}"


@pytest.fixture
def rust():
    """The extension module. Imported late: by then the environment says which doorbell and runtime it is about."""
    import pyo3_asyncio_pytests

    return pyo3_asyncio_pytests


@pytest.fixture
def exported(rust):
    """What the attributes have exported, on the runtime that this process is about."""
    runtime = os.environ.get(RUNTIME, RUNTIMES[0])
    return getattr(rust, runtime.replace("_current_thread", ""))


@pytest.fixture
def complaints():
    """What the loops' exception handlers were told. Who expects a complaint takes it out; what is left is a failure."""
    return []


@pytest.fixture
def load(pytestconfig):
    """How many there are of what is there by the thousand, where so many are the full load."""
    return lambda full: full // 5 if pytestconfig.getoption("brief") else full


@pytest.fixture(params=LOOPS)
def new_loop(request, complaints):
    """Makes an event loop, of each kind."""

    def new_loop():
        loop = LOOPS[request.param]()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        return loop

    new_loop.kind = request.param
    return new_loop


def pytest_generate_tests(metafunc):
    brief = metafunc.config.getoption("brief")
    if "collected" in metafunc.fixturenames and metafunc.module.__name__ in COLLECTED:
        collected = {"": False} if brief else {"": False, "collected": True}
        metafunc.parametrize("collected", collected.values(), ids=collected.keys(), indirect=True)
    if "collect_between" in metafunc.fixturenames:
        between = {"": False} if brief else {"": False, "collecting": True}
        metafunc.parametrize("collect_between", between.values(), ids=between.keys())


@pytest.fixture
def collected(request):
    """Whether garbage is collected between any two steps."""
    return getattr(request, "param", False)


def collect_before_each_call(loop):
    """Collects garbage before whatever this thread calls. A step of a coroutine is a call too, to who profiles.

    So it is collected also between the steps that one turn of our drain makes, and between those that a test makes itself.
    """
    # uvloop calls from C, where nobody profiles: what it is given has to call something in Python.
    for name, position in [("add_reader", 1), ("call_soon", 0), ("call_soon_threadsafe", 0)]:

        def schedule(*args, original=getattr(loop, name), position=position, **kwargs):
            callback = args[position]
            return original(*args[:position], lambda *args: callback(*args), *args[position + 1 :], **kwargs)

        setattr(loop, name, schedule)

    sys.setprofile(lambda frame, event, argument: event in ("call", "c_call") and gc.collect())


@pytest.fixture
def loop(new_loop, collected):
    """An event loop, ended as `asyncio.run` ends its own. If it hangs, that is the failure of its test and of no other."""
    loop = new_loop()
    # In debug mode the loop logs what takes long, pytest keeps the log, and a busy machine makes a leak of it.
    loop.slow_callback_duration = float("inf")
    if collected:
        collect_before_each_call(loop)
    alarm = loop.call_later(LOOP_HANGS_AFTER, sys.exit, "the loop has been waiting for too long")
    yield loop
    sys.setprofile(None)
    alarm.cancel()
    end(loop)


def end(loop):
    """Ends a loop: whatever still runs is cancelled, generators are shut down, the loop is closed."""
    if loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True) if tasks else asyncio.sleep(0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.fixture
def run(loop):
    """Runs a coroutine to its end."""
    return loop.run_until_complete


@pytest.fixture
def haste():
    """The threads change at every opportunity, and the collector comes often."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(200, 5, 5)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)


@pytest.fixture
def at_once(loop, haste, rust, monkeypatch):
    """Does a piece of work in eight threads that begin together, while the loop goes on.

    Each is given a randomness of its own. The order in which they come to what they do is the system's.
    """

    async def at_once(work):
        def pretend(number):
            # What starts a Rust future asks for the loop that runs here.
            asyncio._set_running_loop(loop)
            work(random.Random(number))

        # A thread that only pretends to run the loop must not be the one that hangs the doorbell.
        await rust.turns(1, None)
        with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
            await asyncio.gather(*map(asyncio.wrap_future, begin_together(pool, pretend)))

    # asyncio's own is for the loop's thread. What becomes of asyncio's objects in others is not the question here.
    monkeypatch.setattr(loop, "call_soon", loop.call_soon_threadsafe)
    return at_once


def looked_at_twice(look):
    """What Python's own code finds, which asks an object twice for what another thread may end in between, of asyncio's own too."""
    try:
        return look()
    except (AttributeError, TypeError) as error:
        if "NoneType" not in str(error):
            raise
        return None


def begin_together(pool, work):
    together = threading.Barrier(THREADS_AT_ONCE)

    def begin(number):
        together.wait()
        return work(number)

    return [pool.submit(begin, number) for number in range(THREADS_AT_ONCE)]


@pytest.fixture(scope="session", autouse=True)
def warm():
    """The runtime's threads and the doorbell's helper are started once in a process and stay."""
    import pyo3_asyncio_pytests as rust

    async def main():
        await asyncio.gather(*(rust.turns(3, None) for _ in range(100)))
        await rust.nap(0)

    for new_loop in LOOPS.values():
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
    # Some tests need tokio on whichever runtime the others run.
    rust.workers()


@pytest.fixture(autouse=True)
def no_hang(pytestconfig):
    faulthandler.dump_traceback_later(TEST_HANGS_AFTER, exit=True, file=pytestconfig.stash[STDERR])
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def nothing_is_left(warm, no_hang, rust, complaints, capfd, caplog, monkeypatch):
    """Every test leaves the process as it found it, and nobody had anything to complain about."""
    gc.collect()
    # What was there before, all of pytest among it, is none of the test's business, and would take most of the time of each collection.
    gc.freeze()
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append((it.err_msg, repr(it.object), it.exc_value)))
    live, open_before, threads_before = rust.made() - rust.dropped(), descriptors(), threads()

    yield

    gc.collect()
    rust.wait_until_live(live)
    # A drop on the runtime can leave something for a thread that holds the interpreter: once more.
    gc.collect()
    assert rust.made() - rust.dropped() == live
    assert complaints == []
    assert unraisable == []
    assert [record for record in caplog.get_records("call") if record.levelname in ("ERROR", "CRITICAL")] == []
    assert capfd.readouterr().err == ""
    assert eventually(lambda: len(descriptors()) <= len(open_before)), (open_before, descriptors())
    assert eventually(lambda: threads() <= threads_before), (threads_before, threads())

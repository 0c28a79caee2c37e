"""Every test runs on each event loop; a process covers one doorbell and one runtime.

A process chooses its doorbell and its runtime once. This covers one combination of eight:

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
    except ImportError:  # uvloop has no build for this Python. The header of the run lists the loops.
        pass
    else:
        LOOPS["uvloop"] = uvloop.new_event_loop



def tokio_loop():
    """A loop whose thread also runs the futures of tokio."""
    # Imported late, after the environment names the doorbell and the runtime.
    import pyo3_asyncio_pytests

    return pyo3_asyncio_pytests.new_event_loop()


# These tests also run on a loop of tokio's. A test that waits on the loop's thread for a Rust future has the mark `two_threads`.
ON_ONE_THREAD = {
    "test_async_generator",
    "test_attributes",
    "test_background_loop",
    "test_block_on",
    "test_blocking",
    "test_closed_loops",
    "test_detach_on_cancel",
    "test_drops",
    "test_shared_context",
    "test_coroutine",
    "test_coroutine_life",
    "test_coroutine_load",
    "test_coroutine_ways",
    "test_eager_start",
    "test_iterate",
    "test_load",
    "test_local",
    "test_model",
    "test_panics",
    "test_python_to_rust",
    "test_rust_future",
    "test_threads",
    "test_threads_loop",
}

DOORBELL = "PYO3_ASYNCIO_DOORBELL"
RUNTIME = "PYTESTS_RUNTIME"
RUNTIMES = ["tokio", "tokio_current_thread", "async_std", "smol"]
# The number of threads of the runtimes that read it from the environment. rust.WORKERS has the same number.
THREADS = {"ASYNC_STD_THREAD_COUNT": "2", "SMOL_THREADS": "2"}

# Seconds after which a loop or a test counts as hanging. The loop is stopped first. If the test still hangs, the run prints the
# stacks of all threads and ends.
LOOP_HANGS_AFTER, TEST_HANGS_AFTER = 240, 300
STDERR = pytest.StashKey()
THREADS_AT_ONCE = 8
# The most background loops that a test needs at once.
BACKGROUND_LOOPS = 4

# PyPy runs a part of the tests: `docs/what-runs-where.md` says which.
CPYTHON = sys.implementation.name == "cpython"
# Some distributions package the test suite of Python on its own. The header says if it is missing, and `cargo xtask test` wants it.
HAS_CPYTHONS_TESTS = all(map(importlib.util.find_spec, ["test", "test.test_asyncio"]))
# What FastAPI is built on has no wheel for every Python. The header says if it is missing.
HAS_FASTAPI = importlib.util.find_spec("fastapi") is not None

# These tests run one coroutine at a time. They also run with a garbage collection between any two steps.
COLLECTED = {
    "test_anyio",
    "test_async_generator",
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
    "test_async_generator",
    "test_attributes",
    "test_background_loop",
    "test_block_on",
    "test_blocking",
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
    parser.addoption("--exits", type=int, default=100, help="how many programs to run to their end, in all; each way at least once")
    parser.addoption("--loops", type=int, default=300, help="how many loops to close with everything in flight")
    parser.addoption("--runtime", choices=RUNTIMES, help="the Rust runtime, and tokio's flavor")


def has_tokio_loops(config):
    """Whether the Rust futures can run in the loop's thread: on unix, and if tokio is the runtime."""
    return hasattr(os, "fork") and config.getoption("runtime") not in ("async_std", "smol")


def pytest_ignore_collect(collection_path, config):
    """Leaves out what a system or a runtime has not: no other runtime than tokio can be ended, or started again in a child."""
    is_other = config.getoption("runtime") in RUNTIMES[1:] or "PYTHONASYNCIODEBUG" in os.environ
    if config.getoption("brief") and is_other and collection_path.suffix == ".py" and collection_path.stem not in CROSSINGS:
        return True
    if collection_path.name == "test_fork.py" and not hasattr(os, "fork"):
        return True
    if collection_path.name.startswith("test_cpython_") and not HAS_CPYTHONS_TESTS:
        return True
    if collection_path.name == "test_fastapi.py" and not HAS_FASTAPI:
        return True
    if collection_path.name in ("test_cpython_loops.py", "test_one_thread.py") and not has_tokio_loops(config):
        return True
    # Its cases count turns of the loop. With a helper thread that rings, the count varies.
    if collection_path.name == "test_cpython_coroutines.py" and os.environ.get(DOORBELL) == "call_soon_threadsafe":
        return True
    if collection_path.name in ("test_closed_loops.py", "test_drops.py", "test_fork.py", "test_shutdown.py"):
        return True if config.getoption("runtime") in ("async_std", "smol") else None
    return None


def pytest_configure(config):
    # With a backtrace, the text of every panic would contain it.
    os.environ.pop("RUST_BACKTRACE", None)
    config.addinivalue_line("markers", "two_threads: the test waits on the loop's thread for a Rust future")
    # Keep the real standard error: pytest replaces descriptor 2 later.
    config.stash[STDERR] = os.dup(2)
    # The module reads both variables when it is imported or later. The processes of the tests inherit them.
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
    suite, fastapi = ("there" if has else "missing" for has in (HAS_CPYTHONS_TESTS, HAS_FASTAPI))
    return f"doorbell: {doorbell}, runtime: {runtime}, loops: {', '.join(LOOPS)}, CPython's own tests: {suite}, FastAPI: {fastapi}"


@pytest.fixture
def rust():
    """The extension module. It is imported late, after the environment names the doorbell and the runtime."""
    import pyo3_asyncio_pytests

    return pyo3_asyncio_pytests


@pytest.fixture
def exported(rust):
    """The exports of the attributes, on the runtime of this process."""
    runtime = os.environ.get(RUNTIME, RUNTIMES[0])
    return getattr(rust, runtime.replace("_current_thread", ""))


@pytest.fixture
def complaints():
    """The calls of the loops' exception handlers. A test removes the calls that it expects; any other fails it."""
    return []


@pytest.fixture
def new_loop(request, complaints):
    """Makes event loops. The test runs once with each kind."""
    make = tokio_loop if request.param == "tokio" else LOOPS[request.param]

    def new_loop():
        loop = make()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        return loop

    new_loop.kind = request.param
    return new_loop


@pytest.fixture
def load(pytestconfig, new_loop):
    """Scales the size of a load down on all loops but one, and on all in a brief run."""
    is_whole = new_loop.kind == "asyncio" and not pytestconfig.getoption("brief")
    return lambda whole: whole if is_whole else whole // 5


def pytest_generate_tests(metafunc):
    brief = metafunc.config.getoption("brief")
    # A module may have loops of its own.
    if "new_loop" in metafunc.fixturenames and not hasattr(metafunc.module, "new_loop"):
        has_tokio = has_tokio_loops(metafunc.config) and metafunc.module.__name__ in ON_ONE_THREAD
        needs_two = metafunc.definition.get_closest_marker("two_threads")
        metafunc.parametrize("new_loop", [*LOOPS, "tokio"] if has_tokio and not needs_two else LOOPS, indirect=True)
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
    """Collects garbage before every call of this thread. A profiler sees a step of a coroutine as a call.

    So a collection also runs between the steps of one drain, and between the steps that a test makes itself.
    """
    # uvloop calls from C, which the profiler does not see. So wrap each callback in a Python function.
    for name, position in [("add_reader", 1), ("call_soon", 0), ("call_soon_threadsafe", 0)]:

        def schedule(*args, original=getattr(loop, name), position=position, **kwargs):
            callback = args[position]
            return original(*args[:position], lambda *args: callback(*args), *args[position + 1 :], **kwargs)

        setattr(loop, name, schedule)

    sys.setprofile(lambda frame, event, argument: event in ("call", "c_call") and gc.collect())


@pytest.fixture
def loop(new_loop, collected):
    """An event loop, ended as `asyncio.run` ends its own. A loop that hangs fails its own test and no other."""
    loop = new_loop()
    # In debug mode the loop logs slow callbacks, and pytest keeps the log. On a busy machine that looks like a leak.
    loop.slow_callback_duration = float("inf")
    if collected:
        collect_before_each_call(loop)
    alarm = loop.call_later(LOOP_HANGS_AFTER, sys.exit, "the loop has been waiting for too long")
    yield loop
    sys.setprofile(None)
    alarm.cancel()
    end(loop)


def end(loop):
    """Ends a loop: cancels the remaining tasks, shuts down generators and the executor, and closes the loop."""
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
    """Makes the interpreter switch threads at every opportunity and collect garbage often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    # PyPy's collector has no threshold.
    if CPYTHON:
        threshold = gc.get_threshold()
        gc.set_threshold(200, 5, 5)
    yield
    sys.setswitchinterval(interval)
    if CPYTHON:
        gc.set_threshold(*threshold)


@pytest.fixture
def at_once(loop, haste, rust, monkeypatch):
    """Runs a function in eight threads that start together, while the loop runs.

    Each thread gets a random generator of its own. The system decides the order between the threads.
    """

    async def at_once(work):
        def pretend(number):
            # A call that starts a Rust future needs a running loop in its thread.
            asyncio._set_running_loop(loop)
            work(random.Random(number))

        # Install the doorbell first: a thread that only pretends to run the loop must not do it.
        await rust.turns(1, None)
        with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
            await asyncio.gather(*map(asyncio.wrap_future, begin_together(pool, pretend)))

    # `call_soon` is not thread-safe. These tests do not check asyncio's own objects in other threads.
    monkeypatch.setattr(loop, "call_soon", loop.call_soon_threadsafe)
    return at_once


def tolerating_none(look):
    """Calls a function of the standard library that reads an attribute twice. Another thread may set it to None in between."""
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
    """Starts the threads of the runtime and of the doorbell, which live as long as the process."""
    import pyo3_asyncio_pytests as rust

    async def main():
        await asyncio.gather(*(rust.turns(3, None) for _ in range(100)))
        await rust.nap(0)

    for new_loop in LOOPS.values():
        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
    # Some tests need tokio, whatever runtime the others use.
    rust.workers()

    async def nested(depth):
        return depth and rust.tokio.call_back_now(lambda: nested(depth - 1))

    # Each level needs a background loop of its own.
    rust.tokio.call_back_now(lambda: nested(BACKGROUND_LOOPS - 1))


@pytest.fixture(autouse=True)
def no_hang(pytestconfig):
    faulthandler.dump_traceback_later(TEST_HANGS_AFTER, exit=True, file=pytestconfig.stash[STDERR])
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def nothing_is_left(warm, no_hang, rust, complaints, capfd, caplog, monkeypatch):
    """Fails a test that leaks something, or that leaves an error or a warning unnoticed."""
    gc.collect()
    # Exclude the older objects, all of pytest among them, from collections: they would take most of the time.
    if CPYTHON:
        gc.freeze()
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append((it.err_msg, repr(it.object), it.exc_value)))
    live, open_before, threads_before = rust.made() - rust.dropped(), descriptors(), threads()

    yield

    gc.collect()
    rust.wait_until_live(live)
    # A drop on the runtime can leave a reference for a thread that holds the interpreter. Collect once more.
    gc.collect()
    assert rust.made() - rust.dropped() == live
    assert complaints == []
    assert unraisable == []
    assert [record for record in caplog.get_records("call") if record.levelname in ("ERROR", "CRITICAL")] == []
    assert capfd.readouterr().err == ""
    assert eventually(lambda: len(descriptors()) <= len(open_before)), (open_before, descriptors())
    assert eventually(lambda: threads() <= threads_before), (threads_before, threads())

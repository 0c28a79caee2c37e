"""CPython's own tests of the functions that take coroutines, with a Rust coroutine in each task.

The task of a case runs a Rust coroutine, which awaits the coroutine of the case across the bridge and back. Each case runs
twice: with a start on the runtime, and with an eager start. The Rust side runs on the loop's thread, between two turns, so each
case is deterministic. Where a case lets the loop turn once, the loop turns as often as the round trip needs. Time passes only
when nothing else is left to do.

`Lib/test/test_coroutines.py` tests how the compiler handles an `async def`. Its coroutines yield to no event loop.
"""

import asyncio
import contextlib
import importlib
import inspect
import select
import sys
import time
import types
import unittest
import weakref
from asyncio.base_events import BaseEventLoop
from unittest import mock

import pyo3_asyncio_pytests as rust
import pytest
from test.test_asyncio import utils as cpython_utils

# A case drops a coroutine on purpose. So does each excluded case when it fails.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'rust_future' was never awaited:RuntimeWarning")

LOOKS_INSIDE = "it inspects the coroutine, its frame, or the awaited future, which are those of Rust"
OTHER_TASK = "Rust awaits its coroutine, which therefore runs in another task than that of the case"
TWO_TASKS = "it checks the last reported task; Rust adds a second task, and either may be reported last"
OWN_CONTEXT = "the coroutine that Rust awaits has a copy of the context: two threads cannot enter the same context"
LATER = "with Rust in between, the outcome reaches the task some turns later, after the case has moved on"
NO_DEBUG_MODE = "it fails in debug mode without Rust, too"
MESSAGE = "this Python takes the message of a cancellation from the innermost exception, which does not cross two tasks"
NEVER_ENDS = "it never ends: nothing is left to run or to wait for"
NO_LOOP_RUNS = "it turns the loop by hand, and Rust cannot await without a running loop"

OF_TASKS = {
    "test_baseexception_during_cancel": OTHER_TASK,
    "test_cancel": LATER,
    "test_cancel_at_end": OTHER_TASK,
    "test_cancel_current_task": OTHER_TASK,
    "test_cancel_task_catching": LOOKS_INSIDE,
    "test_cancel_task_ignoring": LOOKS_INSIDE,
    "test_current_task": OTHER_TASK,
    "test_get_coro": LOOKS_INSIDE,
    "test_get_stack": LOOKS_INSIDE,
    "test_task_awaits_on_itself": OTHER_TASK,
    "test_task_cancel_waiter_future": LOOKS_INSIDE,
    "test_task_repr": LOOKS_INSIDE,
    "test_task_repr_wait_for": LOOKS_INSIDE,
    "test_task_source_traceback": LOOKS_INSIDE,
    "test_wait_concurrent_complete": LATER,
    "test_wait_really_done": LATER,
    "test_wait_with_timeout": LATER,
}
if sys.version_info < (3, 11):
    OF_TASKS.update(
        test_cancel_gather_2=MESSAGE,
        test_cancel_with_message_before_starting_task=MESSAGE,
        test_cancel_with_message_then_future_exception=MESSAGE,
        test_cancel_with_message_then_future_result=MESSAGE,
        test_cancel_yield=LATER,
        test_task_repr_partial_corowrapper=LOOKS_INSIDE,
    )
else:
    OF_TASKS.update(
        test_context_4=OWN_CONTEXT,
        test_context_5=OWN_CONTEXT,
        test_context_6=OWN_CONTEXT,
        test_log_destroyed_pending_task=NO_LOOP_RUNS,
        test_uncancel_basic=OTHER_TASK,
    )
if sys.version_info >= (3, 12):
    OF_TASKS["test_cancel_gather_1"] = LATER
if sys.version_info >= (3, 13):
    OF_TASKS["test_uncancel_resets_must_cancel"] = LATER
if sys.version_info >= (3, 14):
    OF_TASKS.update(test_eager_start_false=OTHER_TASK, test_eager_start_true_no_loop=LATER)

OF_EAGER_TASKS = {
    "test_all_tasks_with_blocking": LATER,
    "test_all_tasks_with_eager_completion": LATER,
    "test_await_future_during_eager_step": LATER,
    "test_cancellation_after_eager_completion": LATER,
    "test_context_vars": LATER,
    "test_current_task": OTHER_TASK,
    "test_eager_completion": LATER,
}
if sys.version_info >= (3, 14):
    OF_EAGER_TASKS["test_eager_start_false"] = OTHER_TASK

# The classes of cases, each with its excluded cases and the reasons.
CASES = {
    "test_tasks": {
        "CTask_CFuture_Tests": OF_TASKS,
        "PyTask_PyFuture_Tests": OF_TASKS,
        "CoroutineGatherTests": {},
        "RunCoroutineThreadsafeTests": {},
        "SleepTests": {},
    },
    "test_locks": {
        "LockTests": {"test_cancel_race": LATER, "test_cancel_release_race": LATER},
        "EventTests": {"test_wait": LATER},
        "ConditionTests": {},
        "SemaphoreTests": {},
    },
    "test_pep492": {"CoroutineTests": {"test_task_print_stack": LOOKS_INSIDE}},
    "test_queues": {
        "QueueBasicTests": {},
        "QueueGetTests": {},
        "QueuePutTests": {},
        "LifoQueueTests": {},
        "PriorityQueueTests": {},
        "QueueJoinTests": {},
    },
    "test_runners": {"RunTests": {"test_asyncio_run_reports_hanging_tasks_errors": TWO_TASKS}},
    "test_waitfor": {"AsyncioWaitForTest": {"test_cancel_blocking_wait_for": LATER, "test_cancel_wait_for": LATER}},
}
if sys.version_info < (3, 11):
    CASES["test_queues"]["QueueGetTests"]["test_get_cancelled"] = LATER
    if asyncio.coroutines._is_debug_mode():
        OF_TASKS["test_coroutine_non_gen_function_return_future"] = LATER
        CASES["test_runners"]["RunTests"]["test_asyncio_run_debug"] = NO_DEBUG_MODE
else:
    CASES["test_futures2"] = {"CFutureTests": {}, "PyFutureTests": {}, "FutureReprTests": {}}
    CASES["test_locks"]["BarrierTests"] = {"test_repr": LATER}
    CASES["test_queues"]["QueuePutTests"]["test_put_cancelled"] = LATER
    CASES["test_runners"]["RunnerTests"] = {
        "test_interrupt_cancelled_task": OTHER_TASK,
        "test_run_keeps_context": OWN_CONTEXT,
    }
    CASES["test_taskgroups"] = {"TestTaskGroup": {"test_taskgroup_task_context": OWN_CONTEXT}}
    CASES["test_timeouts"] = {"TimeoutTests": {}}
if sys.version_info >= (3, 12):
    for base in ("CFutureTests", "PyFutureTests"):
        CASES["test_futures2"][base]["test_task_exc_handler_correct_context"] = OWN_CONTEXT
    CASES["test_waitfor"]["WaitForShieldTests"] = {}
    CASES["test_eager_task_factory"] = {
        "PyEagerTaskFactoryLoopTests": OF_EAGER_TASKS,
        "CEagerTaskFactoryLoopTests": {**OF_EAGER_TASKS, "test_issue122332": LOOKS_INSIDE}
        if sys.version_info >= (3, 13)
        else OF_EAGER_TASKS,
    }
if sys.version_info >= (3, 13):
    CASES["test_locks"]["SemaphoreTests"]["test_acquire_fifo_order_4"] = LATER
if sys.version_info[:2] == (3, 13):
    # 3.13.0 has neither.
    for name in ("test_exception_refcycles_parent_task", "test_exception_refcycles_parent_task_wr"):
        if hasattr(importlib.import_module("test.test_asyncio.test_taskgroups").TestTaskGroup, name):
            CASES["test_taskgroups"]["TestTaskGroup"][name] = OTHER_TASK
if sys.version_info >= (3, 14):
    CASES["test_tasks"]["PyTask_PyFuture_Tests"] = {
        **OF_TASKS,
        "test_uncancel_structured_blocks": "it asks Python's own implementation for a task, which is one of C's",
    }
    CASES["test_taskgroups"]["TestTaskGroup"].update(
        test_exception_refcycles_base_error=LOOKS_INSIDE,
        test_exception_refcycles_direct=LOOKS_INSIDE,
        test_exception_refcycles_errors=LOOKS_INSIDE,
        test_exception_refcycles_parent_task=LOOKS_INSIDE,
        test_exception_refcycles_parent_task_wr=LOOKS_INSIDE,
        test_exception_refcycles_propagate_cancellation_error=LOOKS_INSIDE,
        test_name=OTHER_TASK,
    )
if sys.version_info >= (3, 15):
    CASES["test_taskgroups"]["TestTaskGroup"]["test_taskgroup_cancel_one_winner"] = LATER

# Since Python 3.14, the C and the Python implementation of tasks each know only their own current task.
PY_CURRENT_TASK = getattr(asyncio.tasks, "_py_current_task", asyncio.current_task)


@pytest.fixture(autouse=True)
def task_that_never_began(request, caplog):
    """In this case the start of a task fails, without Rust too, and some versions of CPython 3.13 log that the task is pending."""
    yield
    if sys.version_info[:2] == (3, 13) and request.node.name == "test_proper_refcounts":
        records = caplog.get_records("call")
        records[:] = [record for record in records if "Task was destroyed but it is pending!" not in record.getMessage()]


class Awaited:
    """The coroutine of a case, which Rust awaits."""

    all = weakref.WeakSet()

    def __init__(self, coroutine):
        self.all.add(self)
        self.coroutine = coroutine
        self.task = None
        self.cancelled = None

    async def run(self):
        if self.cancelled:
            raise self.cancelled
        self.task = asyncio.current_task() or PY_CURRENT_TASK()
        return await self.coroutine

    def cancel(self, error):
        """Cancels the coroutine. Returns whether the cancellation reaches it."""
        if self.task:
            return self.task.cancel(*error.args)
        self.cancelled = error
        return True

    def __del__(self):
        self.coroutine.close()

    @classmethod
    def close_unstarted(cls):
        """Closes them first: the collector would find both at once, and Python would warn about the coroutine."""
        for awaited in cls.all:
            if inspect.getcoroutinestate(awaited.coroutine) == inspect.CORO_CREATED:
                awaited.coroutine.close()


def around(coroutine, eager_start):
    """A Rust coroutine that awaits the coroutine of a case."""
    if type(coroutine) is not types.CoroutineType or coroutine.cr_code is Awaited.run.__code__:
        return coroutine
    awaited = Awaited(coroutine)
    return rust.around(awaited.run, awaited.cancel, eager_start=eager_start)


def on_rust(function, eager_start):
    """Makes a method of a loop or a task run a Rust coroutine instead."""

    def with_rust(self, coroutine, *args, **kwargs):
        return function(self, around(coroutine, eager_start), *args, **kwargs)

    return with_rust


class Turns:
    """Yields to the loop for more turns than a round trip to Rust takes."""

    def __await__(self):
        for _ in range(12):
            yield


def run_briefly(loop):
    async def turns():
        await Turns()

    task = loop.create_task(turns())
    # CPython does the same: the loop may be stopped before the task ends.
    task._log_destroy_pending = False
    loop.run_until_complete(task)


CPythonsLoop = cpython_utils.TestLoop
run_once, close = BaseEventLoop._run_once, CPythonsLoop.close


class Clock:
    """A clock that advances only while Python and Rust are idle, so that no case depends on the speed of the machine."""

    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


CLOCK = Clock()


def run_once_after_rust(loop):
    rust.run_ready()
    run_once(loop)


def run_once_in_no_time(loop):
    rust.run_ready()
    if not is_busy(loop):
        CLOCK.now = max(CLOCK.now, next_timer(loop))
    run_once(loop)


def run_test_loop_once(loop):
    """Turns CPython's loop for tests, which has no selector. A case says how much time passes after each timer."""
    rust.run_ready()
    for fd in readable(loop):
        loop._ready.append(loop.readers[fd])
    if not loop._ready and loop.is_running():
        assert next_timer(loop) <= loop.time(), NEVER_ENDS
    run_once(loop)
    rust.run_ready()
    if not is_busy(loop):
        for when in loop._timers:
            loop.advance_time(loop._gen.send(when))
        loop._timers.clear()


IN_NO_TIME = [
    (BaseEventLoop, "_run_once", run_once_in_no_time),
    (CPythonsLoop, "_run_once", run_test_loop_once),
    (time, "monotonic", CLOCK.monotonic),
    (time, "sleep", CLOCK.sleep),
]
# Cases with other threads need real time.
IN_REAL_TIME = [(BaseEventLoop, "_run_once", run_once_after_rust)]


def is_busy(loop):
    return loop._ready or readable(loop)


def readable(loop):
    readers = loop.readers if isinstance(loop, CPythonsLoop) else loop._selector.get_map()
    return select.select(list(readers), [], [], 0)[0]


def next_timer(loop):
    timers = [timer.when() for timer in loop._scheduled if not timer.cancelled()]
    assert timers, NEVER_ENDS
    return min(timers)


def close_and_forget(loop):
    close(loop)
    # CPython's loop for tests keeps its readers after `close`. Rust learns of the end when the reader is freed.
    loop.readers.clear()


class OnRustCoroutines:
    clock = IN_NO_TIME

    def run(self, result=None):
        with contextlib.ExitStack() as patches:
            patches.callback(rust.run_ready)
            for owner, name, ours in [
                *self.clock,
                (BaseEventLoop, "create_task", on_rust(BaseEventLoop.create_task, self.eager_start)),
                (asyncio.tasks, "__sleep0", Turns),
                (CPythonsLoop, "close", close_and_forget),
                (cpython_utils, "run_briefly", run_briefly),
            ]:
                patches.enter_context(mock.patch.object(owner, name, ours))
            try:
                return super().run(result)
            finally:
                # The loop may be a mock that refers to a task. The case itself outlives the check for leaks.
                self.__dict__.pop("loop", None)
                Awaited.close_unstarted()

    def _run_loop(self, loop):
        """Replaces the method of the `gather` cases: turns the loop while it is busy."""
        rust.run_ready()
        while is_busy(loop):
            run_briefly(loop)
            rust.run_ready()


class OnLoopThatSelects:
    """For cases whose own loop has neither readers nor time."""

    def setUp(self):
        cpython_utils.TestCase.setUp(self)
        self.loop = asyncio.new_event_loop()
        self.set_event_loop(self.loop)


class OnRunnersLoopThatSelects:
    def new_loop(self):
        loop = asyncio.SelectorEventLoop()
        loop.shutdown_ag_run = False
        shutdown_asyncgens = loop.shutdown_asyncgens

        async def shutdown():
            loop.shutdown_ag_run = True
            await shutdown_asyncgens()

        loop.shutdown_asyncgens = shutdown
        return loop


LOOPS_THAT_SELECT = {"test_pep492": OnLoopThatSelects, "test_runners": OnRunnersLoopThatSelects}


def cpython(module, base):
    return getattr(importlib.import_module(f"test.test_asyncio.{module}"), base)


def suite(module, base, eager_start, without=()):
    """CPython's cases of one class."""
    cases = cpython(module, base)
    members = dict.fromkeys(without, None)
    members["eager_start"] = eager_start
    if module == "test_runners" or base == "RunCoroutineThreadsafeTests":
        members["clock"] = IN_REAL_TIME
    for name in ("Task", "cls"):
        task = getattr(cases, name, None)
        if isinstance(task, type):
            members[name] = type(name, (task,), {"__init__": on_rust(task.__init__, eager_start)})
    loop = [LOOPS_THAT_SELECT[module]] if module in LOOPS_THAT_SELECT else []
    return type(suite_name(base, eager_start), (OnRustCoroutines, *loop, cases), members)


def suite_name(base, eager_start):
    return f"Test{'Eager' if eager_start else ''}{base}"


CLASSES = [(module, base, eager) for module, bases in CASES.items() for base in bases for eager in (False, True)]

globals().update((suite_name(*it[1:]), suite(*it, without=CASES[it[0]][it[1]])) for it in CLASSES)


@pytest.mark.parametrize("module, base, eager_start", CLASSES)
def test_no_excluded_name_is_stale(module, base, eager_start):
    names = unittest.defaultTestLoader.getTestCaseNames(cpython(module, base))
    assert set(CASES[module][base]) <= set(names)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module, base, eager_start", CLASSES)
def test_each_excluded_case_fails(module, base, eager_start, monkeypatch):
    # A failed case reports its leftovers at its end.
    monkeypatch.setattr(asyncio.log.logger, "disabled", True)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    for name, reason in CASES[module][base].items():
        # In one of the two orders the case passes.
        if reason is TWO_TASKS:
            continue
        case, result = suite(module, base, eager_start)(name), unittest.TestResult()
        passes = False
        # A case that never ends raises AssertionError. An interrupt leaves the case.
        with contextlib.suppress(AssertionError, KeyboardInterrupt):
            case.run(result)
            passes = result.wasSuccessful()
        assert not passes, f"{name} passes: there is no reason to exclude it"

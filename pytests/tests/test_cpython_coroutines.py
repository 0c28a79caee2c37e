"""CPython's own tests of tasks, with a coroutine of Rust in each task.

Whatever coroutine a case gives to a task is awaited by a coroutine of Rust, across the bridge and back, and the task runs that. The
Rust side runs on the loop's thread, between two turns, so that each case takes the same way each time. Where a case lets the
loop turn once, it turns as often as the way there and back takes.

The cases of `wait_for` and of `timeout`, and those of task groups that sleep for a part of a second, are left out: they rely on
how fast the machine is.
"""

import asyncio
import contextlib
import importlib
import inspect
import select
import sys
import types
import unittest
import weakref
from asyncio.base_events import BaseEventLoop
from unittest import mock

import pyo3_asyncio_pytests as rust
import pytest
from test.test_asyncio import utils as cpython_utils

# A case forgets a coroutine on purpose, as does each that cannot apply when it fails.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'rust_future' was never awaited:RuntimeWarning")

LOOKS_INSIDE = "it looks at the coroutine, its frame, or what it waits for, and these are Rust's"
OTHER_TASK = "its coroutine is awaited by Rust, and so runs in another task than the one of the case"
OWN_CONTEXT = "what Rust awaits has a copy of the context: two threads cannot be inside one"
LATER = "Rust stands between, so that the task hears some turns later, when the case has gone on"
SAME_COROUTINE = "it gives one coroutine twice, and each time a coroutine of Rust is made of it"
MESSAGE = "the message of a cancellation is that of the innermost exception on this Python, which has not been in two tasks"

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
    "test_wait": LATER,
    "test_wait_concurrent_complete": LATER,
    "test_wait_first_completed": LATER,
    "test_wait_first_exception_in_wait": LATER,
    "test_wait_really_done": LATER,
    "test_wait_with_exception": LATER,
    "test_wait_with_iterator_of_tasks": LATER,
    "test_wait_with_timeout": LATER,
}
if sys.version_info < (3, 11):
    OF_TASKS.update(
        test_cancel_gather_2=MESSAGE,
        test_cancel_with_message_before_starting_task=MESSAGE,
        test_cancel_with_message_then_future_exception=MESSAGE,
        test_cancel_with_message_then_future_result=MESSAGE,
        test_cancel_yield=LATER,
        test_coroutine_non_gen_function_return_future=LATER,
        test_task_repr_partial_corowrapper=LOOKS_INSIDE,
    )
else:
    OF_TASKS.update(
        test_context_4=OWN_CONTEXT,
        test_context_5=OWN_CONTEXT,
        test_context_6=OWN_CONTEXT,
        test_log_destroyed_pending_task=LOOKS_INSIDE,
        test_uncancel_basic=OTHER_TASK,
    )
if sys.version_info < (3, 10):
    OF_TASKS["test_wait_with_global_loop"] = LATER
if sys.version_info >= (3, 12):
    OF_TASKS["test_cancel_gather_1"] = LATER
if sys.version_info >= (3, 13):
    OF_TASKS["test_uncancel_resets_must_cancel"] = LATER
# It waits for itself for ever, by way of the other task.
NEVER_ENDS = "test_task_awaits_on_itself"

OF_EAGER_TASKS = {
    "test_all_tasks_with_blocking": LATER,
    "test_all_tasks_with_eager_completion": LATER,
    "test_await_future_during_eager_step": LATER,
    "test_cancellation_after_eager_completion": LATER,
    "test_context_vars": LATER,
    "test_current_task": OTHER_TASK,
    "test_eager_completion": LATER,
}

# The classes of cases, each with the cases that cannot apply, and why.
CASES = {
    "test_tasks": {
        "CTask_CFuture_Tests": OF_TASKS,
        "PyTask_PyFuture_Tests": OF_TASKS,
        "CoroutineGatherTests": {"test_duplicate_coroutines": SAME_COROUTINE} if sys.version_info >= (3, 11) else {},
        "RunCoroutineThreadsafeTests": {},
        "SleepTests": {},
    },
    "test_pep492": {"CoroutineTests": {"test_task_print_stack": LOOKS_INSIDE}},
}
if sys.version_info >= (3, 11):
    CASES["test_taskgroups"] = {"TestTaskGroup": {"test_taskgroup_task_context": OWN_CONTEXT}}
if sys.version_info >= (3, 12):
    CASES["test_eager_task_factory"] = {
        "PyEagerTaskFactoryLoopTests": OF_EAGER_TASKS,
        "CEagerTaskFactoryLoopTests": {**OF_EAGER_TASKS, "test_issue122332": LOOKS_INSIDE}
        if sys.version_info >= (3, 13)
        else OF_EAGER_TASKS,
    }


class Awaited:
    """A coroutine of a case, which Rust awaits."""

    all = weakref.WeakSet()

    def __init__(self, coroutine):
        self.all.add(self)
        self.coroutine = coroutine
        self.task = None
        self.cancelled = None

    async def run(self):
        if self.cancelled:
            raise self.cancelled
        self.task = asyncio.current_task()
        return await self.coroutine

    def cancel(self, error):
        if self.task:
            self.task.cancel(*error.args)
        else:
            self.cancelled = error

    def __del__(self):
        self.coroutine.close()

    @classmethod
    def close_unstarted(cls):
        """The collector would find both at once, and Python complain of the coroutine first."""
        for awaited in cls.all:
            if inspect.getcoroutinestate(awaited.coroutine) == inspect.CORO_CREATED:
                awaited.coroutine.close()


def around(coroutine):
    """A coroutine of Rust that awaits the one of a case."""
    if type(coroutine) is not types.CoroutineType or coroutine.cr_code is Awaited.run.__code__:
        return coroutine
    awaited = Awaited(coroutine)
    return rust.around(awaited.run, awaited.cancel)


def on_rust(function):
    """Has a function of a loop's or a task's take a coroutine of Rust."""

    def with_rust(self, coroutine, *args, **kwargs):
        return function(self, around(coroutine), *args, **kwargs)

    return with_rust


class Turns:
    """Gives way to the loop for as long as the way to Rust and back takes, and then some."""

    def __await__(self):
        for _ in range(12):
            yield


def run_briefly(loop):
    async def turns():
        await Turns()

    task = loop.create_task(turns())
    # As CPython's own: the loop may be stopped meanwhile.
    task._log_destroy_pending = False
    loop.run_until_complete(task)


run_once, close = BaseEventLoop._run_once, cpython_utils.TestLoop.close


def run_once_after_rust(loop):
    rust.run_ready()
    # CPython's loop for tests has no selector.
    readers = getattr(loop, "readers", {})
    for fd in select.select(list(readers), [], [], 0)[0]:
        loop._ready.append(readers[fd])
    run_once(loop)


def close_and_forget(loop):
    close(loop)
    # CPython's loop for tests keeps what it was to call, by which Rust tells whether it is closed.
    loop.readers.clear()


class OnRustCoroutines:
    def run(self, result=None):
        with contextlib.ExitStack() as patches:
            patches.callback(rust.run_ready)
            for owner, name, ours in [
                (BaseEventLoop, "_run_once", run_once_after_rust),
                (BaseEventLoop, "create_task", on_rust(BaseEventLoop.create_task)),
                (asyncio.tasks, "__sleep0", Turns),
                (cpython_utils.TestLoop, "close", close_and_forget),
                (cpython_utils, "run_briefly", run_briefly),
            ]:
                patches.enter_context(mock.patch.object(owner, name, ours))
            try:
                return super().run(result)
            finally:
                # A mock in its place may have been told of a task. The case itself lives for longer than what is left is counted.
                self.__dict__.pop("loop", None)
                Awaited.close_unstarted()


class OnLoopThatSelects:
    """For cases whose own loop has neither readers nor time."""

    def setUp(self):
        cpython_utils.TestCase.setUp(self)
        self.loop = asyncio.new_event_loop()
        self.set_event_loop(self.loop)


def cpython(module, base):
    return getattr(importlib.import_module(f"test.test_asyncio.{module}"), base)


def relies_on_speed(case):
    return inspect.isfunction(case) and "sleep(0." in inspect.getsource(case)


def suite(module, base, without=()):
    """CPython's cases of one class."""
    cases = cpython(module, base)
    members = dict.fromkeys(without)
    if module == "test_taskgroups":
        members.update((name, None) for name, case in vars(cases).items() if relies_on_speed(case))
    if isinstance(getattr(cases, "Task", None), type):
        members["Task"] = type("Task", (cases.Task,), {"__init__": on_rust(cases.Task.__init__)})
    loop = (OnLoopThatSelects,) if module == "test_pep492" else ()
    return type(f"Test{base}", (OnRustCoroutines, *loop, cases), members)


CLASSES = [(module, base) for module, bases in CASES.items() for base in bases]

globals().update((f"Test{base}", suite(module, base, without=CASES[module][base])) for module, base in CLASSES)


@pytest.mark.parametrize("module, base", CLASSES)
def test_no_excluded_name_is_stale(module, base):
    assert set(CASES[module][base]) <= set(unittest.defaultTestLoader.getTestCaseNames(cpython(module, base)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module, base", CLASSES)
def test_an_excluded_case_really_cannot_apply(module, base, monkeypatch):
    # What a failed case leaves behind it complains of at its end.
    monkeypatch.setattr(asyncio.log.logger, "disabled", True)
    for name, reason in CASES[module][base].items():
        # What comes later comes in time now and then.
        if name == NEVER_ENDS or reason is LATER:
            continue
        case, result = suite(module, base)(name), unittest.TestResult()
        case.run(result)
        assert not result.wasSuccessful(), f"{name} passes: there is no reason to exclude it"

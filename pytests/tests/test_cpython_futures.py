"""CPython's own tests of `asyncio.Future`, run on `RustFuture`."""

import asyncio
import unittest
from asyncio.base_events import BaseEventLoop
from types import SimpleNamespace

import pyo3_asyncio_pytests as rust
import pytest
from conftest import LOOPS
from test.test_asyncio import test_futures as cpython
from test.test_asyncio import utils as cpython_utils

NO_CONSTRUCTOR = "only Rust makes a RustFuture, which has no constructor"
NO_CURRENT_LOOP = "Rust uses the running loop, not that of `set_event_loop`; without a running loop it returns a coroutine"
NO_SUBCLASS = "only Rust makes a RustFuture, so a subclass could not be instantiated"

HAS_A_PLACE = "the repr also says where in Rust the future was made"

NO_WAKE_UP = "no other thread can wake its event loop: it has neither `add_reader` nor a working `call_soon_threadsafe`"

# The cases that cannot apply, by name, with the reason.
CANNOT_APPLY = {
    "BaseFutureTests": {
        "test_future_repr": HAS_A_PLACE,
        "test_uninitialized": NO_CONSTRUCTOR,
        "test_future_disallow_multiple_initialization": NO_CONSTRUCTOR,
        "test_constructor_without_loop": NO_CURRENT_LOOP,
        "test_constructor_use_global_loop": NO_CURRENT_LOOP,
        "test_init_constructor_default_loop": NO_CURRENT_LOOP,
    },
    "BaseFutureDoneCallbackTests": {
        "test_evil_call_soon_list_mutation": NO_WAKE_UP,
        "test_use_after_free_on_fut_callback_0_with_evil__getattribute__": NO_WAKE_UP,
        "test_use_after_free_on_fut_context_0_with_evil__getattribute__": NO_WAKE_UP,
    },
    "BaseFutureInheritanceTests": {
        "test_inherit_without_calling_super_init": NO_SUBCLASS,
    },
}
# Each Python has some of these. They changed with the deprecation of `get_event_loop`, and with what crashed asyncio's own futures.
NOT_IN_EVERY_PYTHON = {
    "test_future_disallow_multiple_initialization",
    *CANNOT_APPLY["BaseFutureDoneCallbackTests"],
    "test_constructor_without_loop",
    "test_constructor_use_global_loop",
    "test_init_constructor_default_loop",
}


class OnRustFutures:
    """Gives pending Rust futures to the cases, on a real loop."""

    cls = None
    kind = None

    def new_test_loop(self, gen=None):
        loop = LOOPS[self.kind]()
        asyncio.set_event_loop(None)
        self.addCleanup(loop.close)
        # The cases watch the logger of `asyncio.base_events`, which uvloop does not use.
        loop.set_exception_handler(
            lambda loop, context: BaseEventLoop.default_exception_handler(SimpleNamespace(_current_handle=None), context)
        )
        return loop

    def setUp(self):
        self.gates = []
        super().setUp()
        self.addCleanup(self.gates.clear)
        if self.cls is None:
            future = self._new_future(loop=self.loop)
            type(self).cls = type(future)
            future.cancel()

    def _new_future(self, *args, loop=None):
        if args:
            return self.cls(*args)
        gate = rust.Gate()
        self.gates.append(gate)
        future = gate.wait(self.loop if loop is None and self.without_loop_means_own else loop)
        if asyncio.iscoroutine(future):
            future.close()
            raise RuntimeError(NO_CURRENT_LOOP)
        return future

    # The callback cases omit the loop and mean their own. In the other cases an omitted loop is the point.
    without_loop_means_own = False

    def _get_future_cls(self):
        return self.cls


def suite(base, kind, without=()):
    """CPython's cases of one class, on one loop."""
    members = dict.fromkeys(without)
    members["kind"] = kind
    members["without_loop_means_own"] = base == "BaseFutureDoneCallbackTests"
    name = f"Test{base}On{kind.capitalize()}"
    return type(name, (OnRustFutures, getattr(cpython, base), cpython_utils.TestCase), members)


def cases(base):
    return unittest.defaultTestLoader.getTestCaseNames(getattr(cpython, base))


for base in CANNOT_APPLY:
    for kind in LOOPS:
        applicable = suite(base, kind, without=CANNOT_APPLY[base])
        globals()[applicable.__name__] = applicable


@pytest.mark.parametrize("name", [name for name in vars(cpython.CFutureTests) if name.startswith("test")])
@pytest.mark.parametrize("kind", LOOPS)
def test_cases_for_the_c_future_pass(kind, name):
    case, result = suite("CFutureTests", kind)(name), unittest.TestResult()
    case.run(result)
    assert result.wasSuccessful(), result


def test_every_class_of_cases_is_listed():
    bases = {name for name in vars(cpython) if name.startswith("Base") and name.endswith("Tests")}
    assert bases == set(CANNOT_APPLY)


@pytest.mark.parametrize("base", CANNOT_APPLY)
def test_no_excluded_name_is_stale(base):
    stale = set(CANNOT_APPLY[base]) - set(cases(base))
    assert stale <= NOT_IN_EVERY_PYTHON


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("base", CANNOT_APPLY)
def test_each_excluded_case_fails(base, kind, complaints):
    for name in set(CANNOT_APPLY[base]) & set(cases(base)):
        case, result = suite(base, kind)(name), unittest.TestResult()
        case.run(result)
        assert not result.wasSuccessful(), f"{name} passes: there is no reason to exclude it"

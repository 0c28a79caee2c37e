"""CPython's own tests of async generators, run on Rust streams.

Each `async def` generator of a case is iterated over by a Rust stream, and the case gets the async generator of that stream. Both
are Python's own kind of object, so the cases that only step a generator by hand would test Python. Left are those that run on an
event loop.
"""

import ast
import asyncio
import functools
import gc
import inspect
import sys
import types
import unittest

import pyo3_asyncio_pytests as rust
import pytest
from test import test_asyncgen as original

CLEANS_UP = "its generator awaits or raises when it is closed, or has to be closed by then; a Rust stream is only dropped"
CATCHES = "its generator catches what is thrown into it, and a Rust stream never sees that"
NO_LOOP_RUNS = "it steps a generator by hand, and Rust cannot await without a running loop"
RACES = "its generator cleans up in a task, which may or may not be done when the case looks"
TAKES_VALUES = "it sends values, and a Rust stream takes none"

CANNOT_APPLY = {
    "test_async_gen_asyncio_shutdown_01": RACES,
    "test_async_gen_asyncio_aclose_06": CATCHES,
    "test_async_gen_asyncio_aclose_07": CLEANS_UP,
    "test_async_gen_asyncio_aclose_08": CLEANS_UP,
    "test_async_gen_asyncio_aclose_10": CLEANS_UP,
    "test_async_gen_asyncio_aclose_11": CATCHES,
    "test_async_gen_asyncio_aclose_12": CLEANS_UP,
    "test_async_gen_asyncio_anext_04": CATCHES,
    "test_async_gen_asyncio_anext_05": TAKES_VALUES,
    "test_async_gen_asyncio_anext_stopiteration": CATCHES,
    "test_async_gen_asyncio_anext_tuple": CATCHES,
    "test_async_gen_asyncio_asend_01": TAKES_VALUES,
    "test_async_gen_asyncio_asend_02": TAKES_VALUES,
    "test_async_gen_asyncio_asend_03": TAKES_VALUES,
    "test_async_gen_asyncio_athrow_01": CATCHES,
    "test_async_gen_asyncio_athrow_02": CATCHES,
    "test_async_gen_asyncio_athrow_03": CATCHES,
    "test_async_gen_asyncio_athrow_stopiteration": CATCHES,
    "test_async_gen_asyncio_athrow_tuple": CATCHES,
    "test_async_gen_asyncio_gc_aclose_09": RACES,
    "test_async_gen_asyncio_shutdown_exception_01": CLEANS_UP,
    "test_async_gen_asyncio_shutdown_exception_02": CLEANS_UP,
}
if sys.version_info >= (3, 10):
    CANNOT_APPLY.update(test_anext_iter=NO_LOOP_RUNS, test_async_generator_anext=NO_LOOP_RUNS)


class OnRust(ast.NodeTransformer):
    """Decorates each async generator with `on_rust`."""

    def visit_AsyncFunctionDef(self, node):
        self.generic_visit(node)
        if any(isinstance(it, ast.Yield) for it in own_nodes(node)):
            node.decorator_list.append(ast.Name("on_rust", ast.Load()))
        return node


def own_nodes(function):
    """The nodes of a function, without those of the functions in it."""
    pending = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


def on_rust(function):
    @functools.wraps(function)
    def with_rust(*args, **kwargs):
        return rust.relay(function(*args, **kwargs))

    return with_rust


def transformed():
    tree = ast.fix_missing_locations(OnRust().visit(ast.parse(inspect.getsource(original))))
    module = types.ModuleType("test_asyncgen_on_rust")
    module.on_rust = on_rust
    exec(compile(tree, original.__file__, "exec"), vars(module))
    return module


ON_RUST = transformed()


class EndsItsLoop:
    def tearDown(self):
        # A stream only drops its iterator. asyncio closes that in a task.
        for _ in range(10):
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        super().tearDown()


def suite(without=()):
    return type("TestAsyncGenAsyncio", (EndsItsLoop, ON_RUST.AsyncGenAsyncioTest), dict.fromkeys(without))


TestAsyncGenAsyncio = suite(CANNOT_APPLY)


def test_no_excluded_name_is_stale():
    assert set(CANNOT_APPLY) <= set(unittest.defaultTestLoader.getTestCaseNames(ON_RUST.AsyncGenAsyncioTest))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name, reason in CANNOT_APPLY.items() if reason is not RACES])
def test_each_excluded_case_fails(name, monkeypatch):
    # A failed case reports its leftovers at its end.
    monkeypatch.setattr(asyncio.log.logger, "disabled", True)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    assert not passes(name), f"{name} passes: there is no reason to exclude it"
    gc.collect()


def passes(name):
    case, result = suite()(name), unittest.TestResult()
    case.run(result)
    return result.wasSuccessful()

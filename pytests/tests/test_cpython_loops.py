"""CPython's own tests of selector loops, on a loop whose selector drives tokio."""

import asyncio
import importlib.util
import unittest
import warnings

import pyo3_asyncio_pytests as rust
import pytest

MODULES = [
    "test_base_events",
    "test_buffered_proto",
    "test_events",
    "test_sendfile",
    "test_server",
    "test_sock_lowlevel",
    "test_ssl",
    "test_sslproto",
    "test_streams",
    "test_subprocess",
    "test_taskgroups",
    "test_timeouts",
    "test_unix_events",
    "test_waitfor",
]
# Not every Python has each of them.
MODULES = [module for module in MODULES if importlib.util.find_spec(f"test.test_asyncio.{module}")]


@pytest.fixture
def made(monkeypatch):
    """Makes the cases use our loops where they ask for a selector loop, or for the loop of the policy. Gives those loops."""
    made = []
    # Its class extends that of asyncio.
    rust.new_event_loop().close()

    def new_event_loop(selector=None):
        made.append(rust.new_event_loop())
        return made[-1]

    with warnings.catch_warnings():
        # Newer Pythons deprecate policies, which the cases use all the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.DefaultEventLoopPolicy()
        policy.new_event_loop = new_event_loop
        asyncio.set_event_loop_policy(policy)
        monkeypatch.setattr(asyncio, "SelectorEventLoop", new_event_loop)
        # The cases set the default policy in the end.
        set_policy = asyncio.set_event_loop_policy
        monkeypatch.setattr(asyncio, "set_event_loop_policy", lambda new: set_policy(policy if new is None else new))
        yield made
        set_policy(None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", MODULES)
def test_the_cases_of_cpython_pass(module, made, monkeypatch, caplog, capfd):
    cases = importlib.import_module(f"test.test_asyncio.{module}")
    for case in vars(cases).values():
        # Since Python 3.14, a class names the loop that `asyncio.run` would make.
        if getattr(case, "loop_factory", None) is getattr(asyncio, "EventLoop", cases):
            monkeypatch.setattr(case, "loop_factory", asyncio.SelectorEventLoop)
    suite = unittest.defaultTestLoader.loadTestsFromModule(cases)
    result = unittest.TestResult()
    suite.run(result)
    assert [(str(case), trace) for case, trace in result.failures + result.errors] == []
    assert len(made) > 0
    caplog.clear()
    capfd.readouterr()

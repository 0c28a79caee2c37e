"""Python sees an exported `async fn` as an `async def`, and an exported stream as an async generator function."""

import asyncio
import collections.abc
import copy
import functools
import inspect
import pickle
import pydoc
import sys
import types
import typing
import warnings
import weakref
from unittest import mock

import pytest


class Twin:
    """The class `Shared`, as it would be written in Python."""

    def __init__(self, name):
        """Like the other."""

    async def greet(self, greeting: str = ...) -> str:
        """"""

    async def __aexit__(self, type, _error, _traceback):
        """"""

    @classmethod
    async def connect(cls, name):
        """"""

    @staticmethod
    async def double(number: "int") -> "float":
        """"""

    async def letters(self):
        """The letters of the name. The stream borrows the object."""
        yield


async def twin(a: int, /, b: int = 2, *, c: int = 3) -> int:
    """Adds three numbers."""


def sub(cls):
    class Sub(cls):
        async def greet(self):
            return await super().greet()

        def supers(self):
            return super().greet

    return Sub


WAYS = {
    "unbound": lambda cls: cls.greet,
    "bound": lambda cls: cls("x").greet,
    "inherited": lambda cls: sub(cls)("x").letters,
    "super": lambda cls: sub(cls)("x").supers(),
    "special": lambda cls: cls.__aexit__,
    "class method": lambda cls: cls.connect,
    "class method of an object": lambda cls: cls("x").connect,
    "static method": lambda cls: cls.double,
    "static method of an object": lambda cls: cls("x").double,
    "stream": lambda cls: cls.letters,
    "stream of an object": lambda cls: cls("x").letters,
    "partial": lambda cls: functools.partial(cls.greet, None),
    "partial of a bound method": lambda cls: functools.partial(cls("x").greet),
    "partial of a partial": lambda cls: functools.partial(functools.partial(cls.letters), None),
}


def kinds(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncios = asyncio.iscoroutinefunction(function)
    return (
        inspect.iscoroutinefunction(function),
        asyncios,
        inspect.isasyncgenfunction(function),
        inspect.isfunction(function),
        inspect.ismethod(function),
        inspect.isroutine(function),
        callable(function),
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_method_is_of_the_kind_of_its_twin_in_python(exported, way):
    """https://github.com/cython/cython/issues/2273"""
    assert kinds(WAYS[way](exported.Shared)) == kinds(WAYS[way](Twin))


def test_a_function_is_of_the_kind_of_its_twin_in_python(exported):
    """https://github.com/cython/cython/issues/2092"""
    assert kinds(exported.add) == kinds(twin) == (True, True, False, True, False, True, True)
    assert kinds(functools.partial(exported.add, 1)) == kinds(functools.partial(twin, 1))
    assert kinds(exported.countdown) == kinds(Twin.letters) == (False, False, True, True, False, True, True)
    assert isinstance(exported.add, types.FunctionType)


def test_a_function_has_the_attributes_of_its_twin_in_python(exported):
    for name in set(dir(twin)) - {"__annotate__"}:
        mine, expected = getattr(exported.add, name), getattr(twin, name)
        assert type(mine) is type(expected), name
        if name in ("__annotations__", "__defaults__", "__doc__", "__kwdefaults__", "__type_params__"):
            assert mine == expected
    assert (exported.add.__name__, exported.add.__qualname__, exported.add.__module__) == ("add", "add", exported.__name__)
    assert inspect.signature(exported.add) == inspect.signature(twin)
    assert repr(exported.add).startswith("<function add at 0x")


@pytest.mark.parametrize("way", [way for way in WAYS if not way.startswith("partial")])
def test_a_method_has_the_names_and_the_signature_of_its_twin_in_python(exported, way):
    mine, expected = WAYS[way](exported.Shared), WAYS[way](Twin)
    parameters = [[(it.name, it.default, it.kind) for it in inspect.signature(of).parameters.values()] for of in (mine, expected)]
    assert parameters[0] == parameters[1]
    assert mine.__name__ == expected.__name__
    assert mine.__qualname__ == expected.__qualname__.replace("Twin", "Shared")
    assert mine.__module__ == exported.Shared.__module__


def test_type_hints_come_from_the_types_of_rust(exported, rust):
    assert exported.hinted.__annotations__ == {
        "flag": bool,
        "number": int,
        "ratio": float,
        "letter": str,
        "bytes": bytes,
        "list": list[typing.Optional[str]],
        "table": dict[str, list[float]],
        "set": set[int],
        "tuple": tuple[int, tuple[str]],
        "gate": rust.Gate,
        "object": typing.Any,
        "given": "object",
        "return": None,
    }
    assert exported.search.__annotations__ == {"text": str, "limit": int, "exact": typing.Optional[bool], "return": dict[str, int]}
    assert exported.countdown.__annotations__ == {"from_": int, "return": collections.abc.AsyncGenerator[int, None]}
    assert typing.get_type_hints(exported.Shared.double) == typing.get_type_hints(Twin.double) == {"number": int, "return": float}


def test_a_function_can_be_wrapped_and_marked(exported, run):
    @functools.wraps(exported.add)
    async def wrapper(*args):
        return await exported.add(*args)

    assert wrapper.__wrapped__ is exported.add
    assert inspect.signature(wrapper) == inspect.signature(exported.add)
    assert run(wrapper(1)) == 6
    exported.nothing.mark = "a route"
    assert exported.nothing.mark == vars(exported.nothing)["mark"] == "a route"
    del exported.nothing.mark
    assert not hasattr(exported.nothing, "mark") and vars(exported.nothing) == {}
    assert weakref.ref(exported.add)() is exported.add
    assert {exported.add: 1}[exported.add] == 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_function_is_pickled_by_its_name(exported, monkeypatch, protocol):
    monkeypatch.setitem(sys.modules, exported.__name__, exported)
    monkeypatch.setattr(exported.Shared, "__module__", exported.__name__)
    for function in (exported.add, exported.Shared.greet, exported.Shared.double):
        monkeypatch.setattr(function, "__module__", exported.__name__)
        assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert pickle.loads(pickle.dumps(exported.Shared.connect, protocol)) == exported.Shared.connect


def test_a_copy_is_the_function_itself(exported):
    assert copy.copy(exported.add) is copy.deepcopy(exported.add) is exported.add


def test_help_shows_an_async_function(exported):
    shown = pydoc.plain(pydoc.render_doc(exported.add))
    assert shown.endswith("async add(a: int, /, b: int = 2, *, c: int = 3) -> int\n    Adds three numbers.\n")
    shown = pydoc.plain(pydoc.render_doc(exported.Shared))
    assert "async pass_through(self, gate: " in shown and "async connect(name: " in shown


def test_a_mock_of_a_function_is_awaited(exported, run):
    assert isinstance(mock.create_autospec(exported.Shared)("x").greet, mock.AsyncMock)
    assert run(mock.create_autospec(exported.add, return_value=1)(1)) == 1


def test_a_subclass_calls_the_method_that_it_overrides(exported, run):
    assert run(sub(exported.Shared)("x").greet()).startswith("hello, x on ")
    assert run(exported.Shared.greet(exported.Shared("x"), greeting="hi")).startswith("hi, x on ")
    with pytest.raises(TypeError):
        exported.Shared.greet(1)


@pytest.fixture
def by_hand(exported):
    """A module that is not declarative."""
    module = types.ModuleType("by_hand")
    exported.add_to(module)
    return module


def test_a_module_that_is_not_declarative_adds_a_function_by_a_macro(by_hand, exported, run):
    assert inspect.iscoroutinefunction(by_hand.add) and run(by_hand.add(1)) == 6
    assert by_hand.add.__module__ == "by_hand" and by_hand.this_thread() == exported.this_thread()
    # PyO3's own macro gives a built-in function.
    assert inspect.isbuiltin(by_hand.reply) and run(by_hand.reply("text")) == "text"


def test_a_name_that_is_a_keyword_of_python_hides_the_signature_alone(by_hand, run):
    function = getattr(by_hand, "lambda")
    assert (function.__name__, str(inspect.signature(function))) == ("lambda", "(*args, **kwargs) -> int")
    assert inspect.iscoroutinefunction(function)
    assert run(function(**{"from": 1})) == 1

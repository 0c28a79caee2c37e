import re
import sys
from types import FunctionType


def declare(function, owner, signature, is_stream, annotations):
    """An `async def` without a body that looks like `function`, a built-in function of the module or class `owner`."""
    is_method = isinstance(owner, type)
    module = owner.__module__ if is_method else owner.__name__
    name, unknown = function.__name__, "(*args, **kwargs)"
    # PyO3 marks what Python passes with a dollar. A module is no parameter.
    signature = signature or re.sub(r"^\((\$module(, )?|\$)", "(", function.__text_signature__ or unknown)
    body = "yield" if is_stream else "pass"
    try:
        made = run(f"async def made{signature}: {body}")
    except Exception:
        # A parameter has the name of a keyword, or the text of the signature is none.
        made = run(f"async def made{unknown}: {body}")
    code = made.__code__.replace(co_name=name)
    namespace = getattr(sys.modules.get(module), "__dict__", {}) if is_method else vars(owner)
    declared = FunctionType(code, namespace, name, made.__defaults__)
    declared.__kwdefaults__ = made.__kwdefaults__
    declared.__module__, declared.__doc__ = module, function.__doc__
    declared.__qualname__ = f"{owner.__qualname__}.{name}" if is_method else name
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    declared.__annotations__ = {name: annotations[name] for name in (*parameters, "return") if name in annotations}
    return declared


def run(program):
    namespace = {}
    exec(compile(program, "<pyo3_asyncio>", "exec"), namespace)
    return namespace["made"]


def own_method(owner, name):
    """The function behind a method of the class itself, and what binds a function in the same way."""
    found = vars(owner)[name]
    # The type of C's own class methods is not `ClassMethodDescriptorType` on PyPy. So ask what a method is bound to.
    if getattr(getattr(owner, name), "__self__", None) is owner:
        binds = classmethod
    else:
        binds = staticmethod if isinstance(found, staticmethod) else None
    return getattr(found, "__func__", found), binds

# Run by `python.rs` to learn what an interpreter is. The syntax is that of any Python, so that one which is too old
# can say so.
from __future__ import print_function

import os
import platform
import sys
import sysconfig


def has(module):
    try:
        from importlib.util import find_spec

        return find_spec(module) is not None
    except ImportError:
        return False


prefix = getattr(sys, "base_prefix", sys.prefix)
windows = os.name == "nt"
# Conda's Pythons and macOS' frameworks say that they are not shared, but bring a shared library with them.
shared = (
    windows
    or sysconfig.get_config_var("Py_ENABLE_SHARED")
    or sysconfig.get_config_var("PYTHONFRAMEWORK")
    or os.path.exists(os.path.join(prefix, "conda-meta"))
)
# `3.11.2d` for a debug build, `3.13.0t` for a free-threaded one.
flags = getattr(sys, "abiflags", "d" if hasattr(sys, "gettotalrefcount") else "")
version = "{0}.{1}.{2}".format(*sys.version_info) + flags
tag = "{0}{1}".format(*sys.version_info) if windows else sysconfig.get_config_var("LDVERSION")

print("implementation", platform.python_implementation())
print("version", version)
# A virtual environment has the `build` of the Python that it was made with. `sys.version` does not tell a debug build.
print("build", prefix, version, " ".join(sys.version.split()))
# Where this one is a virtual environment's, the one behind it: that can make another, also in place of this one.
print("executable", os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
print("ensurepip", has("ensurepip"))
print("pip", has("pip"))
print("testsuite", has("test.test_asyncio"))
print("shared", bool(shared))
print("libdir", os.path.join(prefix, "libs") if windows else sysconfig.get_config_var("LIBDIR"))
print("library", "python{0}".format(tag))

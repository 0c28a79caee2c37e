"""Prepares the Python that runs it for one of our commands.

    environment.py DIRECTORY [NEED...]

Fails if the Python lacks something of NEEDS, and says which package brings it. Makes a virtual environment in DIRECTORY, installs
the packages of NEEDS into it, and prints the environment variables to run with, and what else is missing.

    environment.py --all

prints every CPython from 3.9 on that is installed.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

# What a Python may have come without, and where to get it.
PACKAGES = {
    "library": (
        "a shared libpython to link with",
        "Debian: `apt install python3-dev`; Fedora: `dnf install python3-devel`; "
        "pyenv: `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install`",
    ),
    "venv": ("the module `ensurepip`, which puts pip into a virtual environment", "Debian: `apt install python3-venv`"),
    "testsuite": (
        "CPython's own tests of asyncio, `test.test_asyncio`",
        "Debian: `apt install libpython3-testsuite`; Fedora: `dnf install python3-test`",
    ),
}
# What only some steps need. Without it, the summary says that they are left out.
PROGRAMS = {
    "cargo-deny": "`cargo install cargo-deny`",
    "cargo-semver-checks": "`cargo install cargo-semver-checks`",
    "chromium": "Debian: `apt install chromium`",
    "curl": "Debian: `apt install curl`",
    "openssl": "Debian: `apt install openssl`",
    "rust-1.85": "`rustup toolchain install 1.85 --component clippy`",
    "rust-src": "`rustup component add rust-src`",
    "valgrind": "Debian: `apt install valgrind`",
    "wrk": "Debian: `apt install wrk`",
    "x86_64-w64-mingw32-gcc": "Debian: `apt install gcc-mingw-w64-x86-64`",
}
# maturin tells PyO3 that it builds an extension module since 1.9.4.
MATURIN = ["maturin>=1.9.4,<2"]
REQUIREMENTS = {
    "maturin": MATURIN,
    "tools": MATURIN + ["anyio", "celery", "gunicorn", "mypy", "opentelemetry-sdk", "pytest>=8", "pytest-xdist", "uvicorn"],
}
# FastAPI's test client is built on it. The last FastAPI for Python 3.9 knows only the older one.
HTTPX = "httpx2" if sys.version_info >= (3, 10) else "httpx"
# Building one of these takes minutes, and may fail. What needs it is left out on a Python for which there is no wheel.
WHEELS = {
    "fastapi": ["fastapi", HTTPX],
    "uvloop": ["uvloop"],
    "starlette": ["starlette"],
    "web": ["aiohttp", "django", "fastapi", "httpx[http2]", "python-multipart", "starlette", "websockets"],
    "servers": ["fastapi", "granian", "httptools", "uvicorn", "uvloop", "websockets"],
}
WINDOWS = os.name == "nt"
LIBRARY_PATH = "DYLD_FALLBACK_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"

# The Python behind a virtual environment: PyO3 is built again when its path changes.
executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
# `3.11.2d` is a debug build, `3.13.0t` a free-threaded one.
version = "{}.{}.{}".format(*sys.version_info) + getattr(sys, "abiflags", "")
libdir = os.path.join(sys.base_prefix, "libs") if WINDOWS else sysconfig.get_config_var("LIBDIR")
# Equal for a Python and the virtual environments made with it. `sys.version` does not tell a debug build.
IDENTITY = "import sys; print(sys.base_prefix, sys.version, getattr(sys, 'abiflags', ''))"


def has_library():
    names = ["python*.lib"] if WINDOWS else [f"libpython{sysconfig.get_config_var('LDVERSION')}.{end}" for end in ("so", "dylib")]
    return any(glob.glob(os.path.join(glob.escape(libdir), name)) for name in names)


def has(module):
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


def output(*command, **variables):
    """What a command prints, None if it fails."""
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        return subprocess.run(command, **pipes, check=True, text=True, env={**os.environ, **variables}).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def is_there(program):
    if program == "rust-src":
        sysroot = output("rustc", "--print", "sysroot") or ""
        return os.path.exists(os.path.join(sysroot.strip(), "lib/rustlib/src/rust/library/Cargo.toml"))
    if program == "rust-1.85":
        # Without rustup, the variable changes nothing, and the Rust on the PATH may be it.
        return (output("rustc", "--version", RUSTUP_TOOLCHAIN="1.85") or "").startswith("rustc 1.85.")
    return shutil.which(program) is not None


def make(directory, requirements, wheels):
    """Makes the virtual environment, unless it is there and of this Python. Gives its directory of programs, and which packages it lacks."""
    programs = os.path.join(directory, "Scripts" if WINDOWS else "bin")
    python = os.path.join(programs, "python")
    if output(python, "-c", "import pip;" + IDENTITY) != output(executable, "-c", IDENTITY):
        print(f"making {directory} with Python {version}", file=sys.stderr)
        subprocess.run([executable, "-m", "venv", "--clear", directory], check=True)
    stamp = os.path.join(directory, "installed-by-xtask")
    with open(stamp, "a+") as file:
        file.seek(0)
        known = set(file.read().split())
        for names, options in [(requirements, [])] + [([name], ["--only-binary", ":all:"]) for name in sorted(wheels)]:
            missing = [name for name in names if not known & {name, "no:" + name}]
            if missing:
                print("installing", *missing, file=sys.stderr)
                pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *options, *missing]
                done = subprocess.run(pip, stdout=sys.stderr, check=not options)
                known.update(name if done.returncode == 0 else "no:" + name for name in missing)
        file.truncate(0)
        print(*sorted(known), sep="\n", file=file)
    return programs, {name[3:] for name in known if name.startswith("no:")}


def prepare(directory, needs):
    lacks = {"library": not has_library(), "venv": not has("ensurepip"), "testsuite": not has("test.test_asyncio")}
    lacks["linux"] = sys.platform != "linux"
    missing = [f"`{executable}` lacks {PACKAGES[need][0]} ({PACKAGES[need][1]})" for need in PACKAGES if lacks[need] and need in needs]
    if sys.version_info < (3, 9):
        missing.append(f"`{executable}` is Python {version}, and the oldest is 3.9")
    if missing:
        sys.exit("\n".join(missing) + "\ninstall that, or name another Python with `--python PATH`")
    for need in sorted(PROGRAMS.keys() & needs):
        lacks[need] = not is_there(need)
        if lacks[need]:
            print(f"`{need}` is not there ({PROGRAMS[need]})", file=sys.stderr)
    variables = {"PYO3_PYTHON": executable}
    if not lacks["venv"]:
        directory = os.path.abspath(directory.format(version=version))
        requirements = sorted({name for need in needs for name in REQUIREMENTS.get(need, [])})
        # The tests take these two if they are there.
        wheels = WHEELS.keys() & {*needs, *(["fastapi", "uvloop"] if "tools" in needs else [])}
        programs, missing = make(directory, requirements, {name for need in wheels for name in WHEELS[need]})
        lacks.update((need, not missing.isdisjoint(WHEELS[need])) for need in wheels)
        variables.update(VIRTUAL_ENV=directory, PATH=os.pathsep.join([programs, os.environ["PATH"]]))
    if not lacks["library"] and not WINDOWS:
        variables[LIBRARY_PATH] = os.pathsep.join(filter(None, [libdir, os.environ.get(LIBRARY_PATH)]))
    for name, value in variables.items():
        print(f"{name}={value}")
    for need, is_lacking in lacks.items():
        if is_lacking:
            print("lacks", need)


def find_all():
    """Pythons on the PATH, of pyenv, and where systems have them, each once, the oldest first."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    places = os.environ["PATH"].split(os.pathsep) + ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    places += glob.glob(os.path.join(pyenv, "versions", "*", "bin")) + glob.glob("/opt/python/*/bin")
    facts = "import os, platform, sys; print(*sys.version_info[:2], platform.python_implementation(), os.path.realpath(sys._base_executable))"
    found = set()
    for program in (entry for place in places for entry in glob.glob(os.path.join(glob.escape(place), "python*"))):
        if re.fullmatch(r"python(3(\.\d+)?(d|t|td|-dbg)?)?(\.exe)?", os.path.basename(program)):
            major, minor, implementation, path = (output(program, "-c", facts) or "0 0 - -").strip().split(" ", 3)
            if (int(major), int(minor)) >= (3, 9) and implementation == "CPython":
                found.add((int(major), int(minor), path))
    for *_, path in sorted(found):
        print(path)


if sys.argv[1] == "--all":
    find_all()
else:
    prepare(sys.argv[1], sys.argv[2:])

"""The Python that runs this, with a virtual environment, and the variables under which everything of ours runs."""

import glob
import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

# Parts that a Python may lack: what they are, and where to get them.
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
# Programs that only some steps need, and where to get them. Without them, the steps are left out.
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
# Building one of these takes minutes, and may fail. On a Python for which there is no wheel, the steps that need it are left out.
WHEELS = {
    "fastapi": ["fastapi", HTTPX],
    "uvloop": ["uvloop"],
    "starlette": ["starlette"],
    "web": ["aiohttp", "django", "fastapi", "httpx[http2]", "python-multipart", "starlette", "websockets"],
    "servers": ["fastapi", "granian", "httptools", "uvicorn", "uvloop", "websockets"],
}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WINDOWS = os.name == "nt"
LIBRARY_PATH = "DYLD_FALLBACK_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"

# The Python behind a virtual environment. PyO3 is built again when this path changes.
executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
# `3.11.2d` is a debug build, `3.13.0t` a free-threaded one.
version = "{}.{}.{}".format(*sys.version_info) + getattr(sys, "abiflags", "")
libdir = os.path.join(sys.base_prefix, "libs") if WINDOWS else sysconfig.get_config_var("LIBDIR")
# The same for a Python and the virtual environments made with it. `sys.version` does not show a debug build.
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
        print(f"making {directory} with Python {version}")
        subprocess.run([executable, "-m", "venv", "--clear", directory], check=True)
    stamp = os.path.join(directory, "installed-by-xtask")
    with open(stamp, "a+") as file:
        file.seek(0)
        known = set(file.read().split())
        for names, options in [(requirements, [])] + [([name], ["--only-binary", ":all:"]) for name in sorted(wheels)]:
            missing = [name for name in names if not known & {name, "no:" + name}]
            if missing:
                print("installing", *missing)
                pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *options, *missing]
                done = subprocess.run(pip, check=not options)
                known.update(name if done.returncode == 0 else "no:" + name for name in missing)
        file.truncate(0)
        print(*sorted(known), sep="\n", file=file)
    return programs, {name[3:] for name in known if name.startswith("no:")}


class Environment:
    """A virtual environment with the packages of `needs`. Fails if the Python lacks something of them, and says which package brings
    it. As one of many Pythons, it has a directory of its own, and the steps that need what it lacks are left out."""

    def __init__(self, needs, of_many=False):
        lacking = {
            "library": not has_library(),
            "linux": sys.platform != "linux",
            "testsuite": not has("test.test_asyncio"),
            "venv": not has("ensurepip"),
        }
        missing = [PACKAGES[need] for need in sorted(PACKAGES.keys() & needs) if lacking[need]]
        missing = [f"`{executable}` lacks {what} ({where})" for what, where in missing]
        if sys.version_info < (3, 9):
            missing.append(f"`{executable}` is Python {version}, and the oldest is 3.9")
        if missing and not of_many:
            sys.exit("\n".join(missing) + "\ninstall that, or name another Python with `--python PATH`")
        for need in sorted(PROGRAMS.keys() & needs):
            lacking[need] = not is_there(need)
            if lacking[need]:
                print(f"`{need}` is not there ({PROGRAMS[need]})")
        self.variables = {"PYO3_PYTHON": executable}
        if not lacking["venv"]:
            directory = os.path.join(ROOT, f"target/venv-{version}" if of_many else ".venv")
            requirements = sorted({name for need in needs for name in REQUIREMENTS.get(need, [])})
            # The tests take these two if they are there.
            wheels = WHEELS.keys() & {*needs, *(["fastapi", "uvloop"] if "tools" in needs else [])}
            programs, without = make(directory, requirements, {name for need in wheels for name in WHEELS[need]})
            lacking.update((need, not without.isdisjoint(WHEELS[need])) for need in wheels)
            self.variables.update(VIRTUAL_ENV=directory, PATH=os.pathsep.join([programs, os.environ["PATH"]]))
        if not lacking["library"] and not WINDOWS:
            self.variables[LIBRARY_PATH] = os.pathsep.join(filter(None, [libdir, os.environ.get(LIBRARY_PATH)]))
        self.lacks = {need for need in lacking if lacking[need]}
        for need in sorted(self.lacks):
            print(f"without {need}: what needs it is left out")
        # How to make a shell in which a command that is shown can be typed. Each variable begins with what is new in it.
        exports = [f"{name}={value.split(os.pathsep)[0]}" for name, value in self.variables.items() if name != "PATH"]
        print("$ export", *exports, "PATH=$VIRTUAL_ENV/bin:$PATH")

    def run(self, line):
        """Shows and runs it. What it prints is for the user as it is. Returns why it failed."""
        print("$", line)
        command, env = self.command(line)
        try:
            status = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL).returncode
        except OSError as error:
            return f"`{command[0]}` does not start: {error}"
        return f"`{command[0]}` ended with status {status}" if status != 0 else None

    def become_program(self, line, arguments):
        """Becomes the program, in the user's own directory: Ctrl-C then reaches it alone, and it takes its time to end well."""
        print("$", line, *arguments)
        command, env = self.command(line)
        if WINDOWS:
            sys.exit(subprocess.run([*command, *arguments], env=env).returncode)
        os.execve(command[0], [*command, *arguments], env)

    def command(self, line):
        """The words of a line, none of which has a blank in it, and the environment. The line begins with its own variables."""
        words = line.split()
        own = list(itertools.takewhile(lambda word: "=" in word, words))
        env = {**os.environ, **self.variables, **dict(word.split("=", 1) for word in own)}
        # With one of these, PyO3 would use another Python.
        for name in {"CONDA_PREFIX", "VIRTUAL_ENV"} - self.variables.keys():
            env.pop(name, None)
        program, *arguments = words[len(own) :]
        return [shutil.which(program, path=env["PATH"]) or program, *arguments], env


def find_all():
    """Every CPython from 3.9 on, on the PATH, of pyenv, and where systems have them, each once, the oldest first."""
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
    return [path for *_, path in sorted(found)]

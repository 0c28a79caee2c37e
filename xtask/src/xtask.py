"""\
usage: cargo xtask COMMAND [--python PATH] [ARGUMENT...]

  test [NAME...]           run the tests; with NAMEs, the steps whose name contains one of them
    --list                 only show the steps
    --thorough             also run every test on every runtime with both doorbells, and with the stable ABI
    --all-pythons          on every CPython from 3.9 on that is found: on the PATH, in pyenv's versions, and
                           where systems have them
  lint [NAME...]           check formatting, clippy and rustdoc; with --list and --thorough as above
  demo [ARGUMENT...]       build the example and search Python's standard library with it
    --web [ARGUMENT...]    on a page, with the server of `examples/serve`
  stress [ARGUMENT...]     mix everything at random and check that nothing is lost or left
  fuzz [ARGUMENT...]       look for operations on futures and coroutines that behave differently from asyncio's own
  valgrind [ARGUMENT...]   run the unit tests and the behaviours on tokio under valgrind
  sanitize [NAME...]       run them under AddressSanitizer and ThreadSanitizer
  check-platforms [NAME...]
                           check the library for other systems, and link the module of the tests for Windows
  msrv [NAME...]           check with the oldest Rust, and with the oldest versions of the dependencies
  release [NAME...]        check what is published: the packages, their dependencies, and what has changed in the API
  bench [ARGUMENT...]      measure this library against its predecessor
    serve [ARGUMENT...]    measure the server of `examples/serve` against granian and uvicorn

  Steps that need something that is missing are left out, and the summary says so. Each command with NAMEs has --list.

  --python PATH            the Python to use, 3.9 or newer; else $PYO3_PYTHON, an active virtual environment's,
                           or `python3` on the PATH
  --                       everything after it is an argument
"""

import os
import signal
import subprocess
import sys
import time
from collections import namedtuple

from environment import ROOT, Environment, find_all


class Step(namedtuple("Step", "command name direct_needs line")):
    """A row of `steps.txt`."""

    @property
    def builds(self):
        """What has to be built before it, in order."""
        builds = [build for build in steps_of("build") if build.name in self.direct_needs]
        return [step for build in builds for step in [*build.builds, build]]

    @property
    def needs(self):
        """What it and its builds need. An extension module needs packages, which need a virtual environment."""
        needs = {need for step in [*self.builds, self] for need in step.direct_needs}
        return needs | {"venv"} if needs else needs

    def lack(self, environment):
        """Something that it needs and that is missing. Without CPython's own tests, the others run."""
        return min((self.needs - {"testsuite"}) & environment.lacks, default=None)

    def run(self, environment):
        """Runs it without the tests that need what the Python lacks: their names say so. Tells whether it passes."""
        skip = " -- --skip uvloop" if "uvloop" in environment.lacks and "cargo test" in self.line else ""
        error = environment.run(self.line + skip)
        if error:
            print(f"{self.name} FAILED: {error}")
        return not error


def steps_of(command, thorough=False):
    steps = []
    with open(os.path.join(ROOT, "xtask/src/steps.txt"), encoding="utf-8") as rows:
        for row in rows:
            if row.strip() and not row.startswith("#"):
                of, name, needs, line = row.split(None, 3)
                if of == command or (thorough and of == command + "+"):
                    needs = needs.split(",") if needs != "-" else []
                    steps.append(Step(of, name, needs, line.strip().replace("{root}", ROOT)))
    return steps


def choose_program(command, arguments):
    """The program that a command becomes, and its arguments without the word that chose it. No program if it has steps."""
    programs = {step.name: step for step in steps_of(command) if step.name.startswith("=")}
    if arguments and "=" + arguments[0] in programs:
        return programs["=" + arguments[0]], arguments[1:]
    return programs.get("="), arguments


def select(steps, names):
    """Those of the steps whose name contains one of the names, or all."""
    for name in names:
        if not any(name in step.name for step in steps):
            known = ", ".join(step.name for step in steps)
            sys.exit(f"error: no step has `{name}` in its name; there are {known}")
    return [step for step in steps if not names or any(name in step.name for name in names)]


def run_all(environment, steps):
    """Runs every step that nothing is missing for, and says at the end how each went. Fails if one did, or if none could run."""
    built, verdicts = {}, []
    for step in steps:
        if step.lack(environment):
            verdicts.append((step.name, "left out, without " + step.lack(environment)))
            continue
        print(f"\n=== {step.name}")
        begin = time.monotonic()
        for build in step.builds:
            if build.name not in built:
                built[build.name] = build.run(environment)
        passes = all(built[build.name] for build in step.builds) and step.run(environment)
        verdicts.append((step.name, f"{'passed' if passes else 'FAILED'} in {time.monotonic() - begin:.1f} s"))
    print("\n=== summary")
    for name, verdict in verdicts:
        print(f"{name:<24} {verdict}")
    failed = [name for name, verdict in verdicts if verdict.startswith("FAILED")]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(verdicts)} steps failed: {', '.join(failed)}")
    if not any(verdict.startswith("passed") for _, verdict in verdicts):
        sys.exit("error: no step could run")


def run_on_all_pythons(arguments):
    pythons = find_all()
    print("found", ", ".join(pythons))
    failed = []
    for python in pythons:
        print(f"\n##### {python}")
        if subprocess.run([python, "-B", __file__, *arguments, "--of-many"]).returncode != 0:
            failed.append(python)
    if failed:
        sys.exit(f"error: tests failed on {', '.join(failed)}")


def main(arguments):
    at = arguments.index("--") if "--" in arguments else len(arguments)
    arguments, behind = arguments[:at], arguments[at + 1 :]
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        return print(__doc__, end="")
    command, *rest = arguments
    if not steps_of(command):
        sys.exit(f"error: there is no command `{command}`\n\n{__doc__}")
    program, rest = choose_program(command, rest)
    if program:
        environment = Environment(program.needs)
        if program.lack(environment):
            sys.exit(f"error: `{command}` needs `{program.lack(environment)}`")
        for build in program.builds:
            if not build.run(environment):
                sys.exit(1)
        return environment.become_program(program.line, rest + behind)
    flags = {"--list", "--thorough"} | ({"--all-pythons", "--of-many"} if command == "test" else set())
    given = flags.intersection(rest)
    steps = select(steps_of(command, "--thorough" in given), [name for name in rest if name not in flags])
    if "--list" in given:
        for step in steps:
            print(f"{step.name:<24} {step.line}")
    elif "--all-pythons" in given:
        run_on_all_pythons([argument for argument in arguments if argument != "--all-pythons"])
    else:
        needs = set().union(*(step.needs for step in steps))
        run_all(Environment(needs, of_many="--of-many" in given), steps)


if __name__ == "__main__":
    # Ctrl-C ends this program at once. Where the signal is ignored from the start, it stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Keeps the lines of this program and those of its steps in order.
    sys.stdout.reconfigure(line_buffering=True)
    main(sys.argv[1:])

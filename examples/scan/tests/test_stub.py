"""The stub `_scan.pyi` matches the native module and suffices for its users."""

import subprocess
import sys
from pathlib import Path

TYPED = Path(__file__).parent / "typed"


def check(*arguments):
    command = [sys.executable, "-m", *arguments]
    checked = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_stub_matches_the_module():
    check("mypy.stubtest", "scan._scan")


def test_a_type_checker_knows_the_awaitables_and_their_results():
    check("mypy", "--strict", str(TYPED))


def test_the_package_itself_has_no_type_errors():
    # uvloop is not available for every Python.
    check("mypy", "--check-untyped-defs", "--disable-error-code", "import-not-found", "--package", "scan")

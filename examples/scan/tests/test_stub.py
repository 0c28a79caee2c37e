"""`_scan.pyi` says of the native module what is so, and what its users need."""

import subprocess
import sys
from pathlib import Path

TYPED = Path(__file__).parent / "typed"


def check(*arguments):
    command = [sys.executable, "-m", *arguments]
    checked = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_stub_has_what_the_module_has_with_the_same_parameters():
    check("mypy.stubtest", "scan._scan")


def test_a_type_checker_knows_what_is_awaited_and_what_it_comes_to():
    check("mypy", "--strict", str(TYPED))


def test_the_package_itself_has_no_type_errors():
    # There is not for every Python a uvloop.
    check("mypy", "--check-untyped-defs", "--disable-error-code", "import-not-found", "--package", "scan")

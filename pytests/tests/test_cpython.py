"""Checks that this Python has the test suite that `test_cpython_….py` run."""

from conftest import HAS_CPYTHONS_TESTS


def test_this_python_has_its_own_test_suite():
    assert HAS_CPYTHONS_TESTS, (
        "this Python has no test suite, which the tests run against the futures and coroutines of Rust: install it (Debian and "
        "Ubuntu package it as libpython3-testsuite, Fedora as python3-test) or use a Python built from source"
    )

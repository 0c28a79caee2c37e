"""Fixtures for tests that look at a program from its start to its end."""

import os
import subprocess
import sys

import pytest
from support import APPS, PATIENCE, Server


@pytest.fixture
def start(tmp_path_factory, loop):
    """Starts a server of the test's own."""
    servers = []

    def start(application, *options, **where):
        log = tmp_path_factory.mktemp("server") / "log"
        command = [sys.executable, "-m", "serve", "--loop", loop]
        servers.append(Server(command, application, options, log, **where))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def refuse(loop):
    """Starts a program that ends by itself. Returns its exit code and its output."""

    def refuse(*arguments):
        command = [sys.executable, "-m", "serve", "--loop", loop, "--port", "0", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(APPS)}
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=-1, stderr=-2, text=True, timeout=PATIENCE
        )
        return done.returncode, done.stdout

    return refuse

"""Servers to test, and what all tests need of them."""

import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

APPS = Path(__file__).with_name("apps")
DEMO = Path(__file__).parents[1] / "demo"
# A test that would wait for ever fails after this time. No other test waits so long.
PATIENCE = 30


def until(holds, failing=lambda: "it does not come true"):
    """Asks again until it holds. Returns what it gave."""
    end = time.monotonic() + PATIENCE
    while not (result := holds()):
        assert time.monotonic() < end, failing()
        time.sleep(0.005)
    return result


class Server:
    """A server in a process of its own, on a port that it chooses or on a socket in the file system."""

    def __init__(self, command, application, options, log, certificate=None, uds=None, environment=None):
        self.log = log
        self.read_to = 0
        self.scheme = "http"
        where = ["--uds", uds] if uds else ["--host", "127.0.0.1", "--port", "0"]
        if certificate:
            self.scheme = "https"
            self.certificate, key = certificate
            self.context = ssl.create_default_context(cafile=self.certificate)
            where += ["--tls-cert", self.certificate, "--tls-key", key]
        with log.open("wb") as output:
            command = [*command, application, *where, *options]
            path = os.pathsep.join([str(APPS), str(DEMO)])
            environment = {**os.environ, "PYTHONPATH": path, **(environment or {})}
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            if uds:
                until(lambda: self.is_running() and os.path.exists(uds), self.log.read_text)
            else:
                self.port = int(until(self.address, self.log.read_text)[1])
                # What is made on first use is no leak.
                self.counts()
        except BaseException:
            self.kill()
            raise

    def is_running(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log.read_text()}"
        return True

    def address(self):
        return self.is_running() and re.search(r"https?://127\.0\.0\.1:(\d+)", self.log.read_text())

    def url(self, path, protocol="http"):
        return f"{protocol + self.scheme[4:]}://127.0.0.1:{self.port}{path}"

    def get(self, path):
        """Gets a page, on a connection of its own. Returns the status and the body."""
        address = "127.0.0.1", self.port
        if self.scheme == "https":
            connection = http.client.HTTPSConnection(*address, timeout=PATIENCE, context=self.context)
        else:
            connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"connection": "close"})
            response = connection.getresponse()
            return response.status, response.read()

    def open(self, gate):
        self.get(f"/control/open/{gate}")

    def wait(self, gate):
        """Waits until the application has opened the gate."""
        self.get(f"/control/wait/{gate}")

    def counts(self):
        return json.loads(self.get("/control/counts")[1])

    def memory(self):
        """The most memory that it ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def until_logged(self, text):
        """Waits until it has logged this. A traceback in the log up to there is expected."""

        def is_logged():
            log = self.log.read_text()
            found = log.find(text, self.read_to)
            if found >= 0:
                self.read_to = found + len(text)
            return found >= 0

        until(is_logged, lambda: f"not logged: {text!r}\n" + self.log.read_text())

    def new_log(self):
        log = self.log.read_text()[self.read_to :]
        self.read_to += len(log)
        return log

    def stop(self):
        """Ends it as a user does. Returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def leaves_nothing(server, *kinds):
    """Fails if the server has more of something afterwards, or has logged a traceback that nobody waited for."""
    server.new_log()
    before = server.counts()
    yield
    now = {}

    def is_gone():
        now.update(server.counts())
        return all(now[kind] <= before[kind] for kind in kinds or before)

    until(is_gone, lambda: f"before: {before}, now: {now}")
    log = server.new_log()
    assert "Traceback" not in log and "never" not in log and "panicked" not in log, log


def new_gate():
    """A name that no other test has."""
    return secrets.token_hex(8)

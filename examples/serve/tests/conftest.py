import subprocess
import sys
from importlib.util import find_spec

import pytest
from support import Server, leaves_nothing

# All in one thread, and Python's thread beside one of tokio's.
LOOPS = ["tokio", "uvloop" if find_spec("uvloop") else "asyncio"]


@pytest.fixture(scope="session", params=LOOPS)
def loop(request):
    return request.param


@pytest.fixture(scope="session")
def servers(tmp_path_factory, loop):
    """Starts a server for an application, or gives the one that runs. All end well at the end."""
    running = {}

    def start(application, *options, **where):
        key = (application, options, str(where))
        if key not in running:
            log = tmp_path_factory.mktemp("server") / "log"
            running[key] = Server([sys.executable, "-m", "serve", "--loop", loop], application, options, log, **where)
        return running[key]

    yield start
    try:
        codes = {key: server.stop() for key, server in running.items()}
    finally:
        for server in running.values():
            server.kill()
    assert set(codes.values()) <= {0}, codes


@pytest.fixture
def plain(servers):
    server = servers("plain:application")
    with leaves_nothing(server):
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody but itself has signed, and its key."""
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return str(certificate), str(key)


@pytest.fixture
def encrypted(servers, certificate):
    """The same application, with TLS."""
    server = servers("plain:application", certificate=certificate)
    with leaves_nothing(server):
        yield server

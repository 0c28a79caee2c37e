"""How the program starts, ends, and is kept within limits."""

import contextlib
import os
import signal
import socket
import stat
import time

import pytest
from programs import refuse, start  # noqa: F401
from support import PATIENCE, new_gate, until

APPLICATION = "protocol:application"


def test_the_help_names_every_option(refuse):
    code, output = refuse("--help")
    options = "--host --port --uds --workers --loop --http1-only --root-path --access-log --graceful-timeout --limit-concurrency"
    assert code == 0 and all(option in output for option in f"{options} --tls-cert --tls-key".split())


@pytest.mark.parametrize(
    "arguments, sentence, code",
    [
        (["absent:application"], "ERROR:    cannot import 'absent': No module named 'absent'", 1),
        (["common:absent"], "ERROR:    cannot find 'common:absent': module 'common' has no attribute 'absent'", 1),
        (["common:gates"], "ERROR:    'common:gates' is no application: {} is not callable", 1),
        (["common"], "error: 'common' names no application: write module:app", 2),
        ([APPLICATION, "--tls-cert", "x"], "error: --tls-cert and --tls-key belong together", 2),
        ([APPLICATION, "--host", "256.0.0.1"], "ERROR:    cannot listen on 256.0.0.1:0: ", 1),
        ([APPLICATION, "--uds", "/absent/socket"], "ERROR:    cannot listen on /absent/socket: No such file or directory", 1),
        ([APPLICATION, "--workers", "0"], "error: argument --workers: 0 is less than 1", 2),
    ],
)
def test_what_cannot_work_is_one_sentence(refuse, arguments, sentence, code):
    found, output = refuse(*arguments)
    assert found == code and sentence in output.splitlines()[-1], output
    assert "Traceback" not in output


def test_an_error_of_the_application_itself_has_its_traceback(refuse, tmp_path):
    tmp_path.joinpath("broken.py").write_text("import not_there\n")
    code, output = refuse("broken:application", "--app-dir", str(tmp_path))
    assert code == 1 and "Traceback" in output and "not_there" in output


def test_a_port_that_is_taken_is_one_sentence(refuse, start):
    server = start(APPLICATION)
    code, output = refuse(APPLICATION, "--port", str(server.port))
    assert (code, output) == (
        1,
        f"ERROR:    cannot listen on 127.0.0.1:{server.port}: Address already in use (os error 98)\n",
    )


@pytest.mark.parametrize("what, file", [("certificate", 0), ("private key", 1)])
def test_a_file_that_cannot_be_read_is_one_sentence(refuse, certificate, tmp_path, what, file):
    files = list(certificate)
    files[file] = tmp_path / "absent.pem"
    code, output = refuse(APPLICATION, "--tls-cert", files[0], "--tls-key", files[1])
    assert code == 1 and output.splitlines()[-1].startswith(f"ERROR:    cannot read the {what} {files[file]}: ")


def is_cut_off(running):
    """Whether the server ends a request. Where tokio has a thread, it may still say that the request has failed."""
    return running.recv(65536).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 500 Internal Server Error")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_requests_end_and_accepts_no_more(start, number):
    server, name = start(APPLICATION), new_gate()
    with request(server, f"/hang/{name}") as running:
        server.wait(f"entered-{name}")
        with request(server, "/scope") as idle:
            assert idle.recv(65536).startswith(b"HTTP/1.1 200")
            server.process.send_signal(number)
            server.until_logged("Shutting down")
            until(lambda: not accepts(server))
            assert idle.recv(1) == b""
        assert server.process.poll() is None
        server.process.send_signal(number)
        assert is_cut_off(running)
    assert server.process.wait(PATIENCE) == 128 + number
    assert f"ended {name}\n" in server.log.read_text()


def test_a_request_that_ends_in_time_is_answered(start):
    server, name = start(APPLICATION), new_gate()
    with request(server, f"/hang/{name}") as running:
        server.wait(f"entered-{name}")
        server.process.send_signal(signal.SIGTERM)
        server.until_logged("Shutting down")
        # No connection reaches the application any more.
        server.process.send_signal(signal.SIGUSR1)
        assert running.recv(65536).endswith(b"done")
    assert server.process.wait(PATIENCE) == 0


def test_requests_that_take_longer_than_the_time_out_are_cancelled(start):
    server, name = start(APPLICATION, "--graceful-timeout", "0.1"), new_gate()
    with request(server, f"/hang/{name}") as running:
        server.wait(f"entered-{name}")
        assert server.stop() == 0
        assert is_cut_off(running)
    log = server.log.read_text()
    assert "Waiting for 1 requests to end. (CTRL+C to force quit)" in log and f"ended {name}\n" in log


def test_a_socket_in_the_file_system_is_replaced_and_removed(start, tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    server = start(APPLICATION, uds=path)
    until(lambda: "Serving on unix socket " + path in server.log.read_text())
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"GET /scope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        scope = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"('client', None)" in scope and f"('server', ('{path}', None))".encode() in scope
    assert server.stop() == 0 and not os.path.exists(path)


def test_the_access_log_has_a_line_for_each_request(start):
    server = start(APPLICATION, "--access-log")
    server.get("/scope?a=%20b")
    until(lambda: ' - "GET /scope?a=%20b HTTP/1.1" 200\n' in server.log.read_text())
    server.get("/raise")
    until(lambda: ' - "GET /raise HTTP/1.1" 500\n' in server.log.read_text())


def test_requests_beyond_the_limit_are_answered_503(start):
    server = start(APPLICATION, "--limit-concurrency", "1")
    with contextlib.ExitStack() as stack:

        def is_refused():
            # The first one may be refused too, because the task of the request before it ends after its response.
            stack.enter_context(request(server, f"/hang/{new_gate()}"))
            return server.get("/scope") == (503, b"Service Unavailable")

        until(is_refused)


def test_connections_beyond_the_limit_wait(start):
    server = start(APPLICATION, "--limit-connections", "1")
    with server.connect() as first:
        first.sendall(b"GET /scope HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200")
        with request(server, "/scope") as second:
            second.settimeout(0.2)
            with pytest.raises(socket.timeout):
                second.recv(1)
            second.settimeout(PATIENCE)
            first.close()
            assert second.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "options, head",
    [
        (["--max-header-count", "10"], b"".join(b"X-%d: 1\r\n" % number for number in range(10))),
        ([], b"".join(b"X-%d: 1\r\n" % number for number in range(100))),
        (["--max-header-size", "8192"], b"X: " + b"x" * 9000 + b"\r\n"),
    ],
)
def test_too_many_or_too_large_headers_are_a_431(start, options, head):
    server = start(APPLICATION, *options)
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")


def test_a_connection_that_sends_its_first_request_too_slowly_is_closed(start):
    server = start(APPLICATION, "--header-timeout", "0.3", "--keep-alive-timeout", "60")
    for head in (b"", b"GET / HTTP/1.1\r\nHost"):
        with server.connect() as connection:
            connection.sendall(head)
            assert connection.recv(1) == b""


def test_a_connection_that_is_idle_is_closed_and_one_that_is_busy_is_not(start):
    server, name = start(APPLICATION, "--keep-alive-timeout", "0.3"), new_gate()
    with request(server, f"/hang/{name}") as busy, request(server, "/scope") as idle:
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        assert idle.recv(1) == b""
        server.open(f"go-on-{name}")
        assert busy.recv(65536).endswith(b"done")


def test_a_client_that_reads_slowly_gets_all_of_a_response(start):
    server, body = start("plain:application", "--keep-alive-timeout", "0.2"), bytes(20_000_000)
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.sendall(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        # By now the server has closed what is idle.
        time.sleep(2)
        answer = b"".join(iter(lambda: client.recv(1 << 20), b""))
    assert answer.endswith(b"\r\n\r\n" + body)


@contextlib.contextmanager
def request(server, target):
    with server.connect() as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


def accepts(server):
    try:
        server.connect().close()
    except OSError:
        return False
    return True


def workers(server):
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as children:
        return [int(pid) for pid in children.read().split()]


def test_workers_share_a_port_and_one_that_dies_is_replaced(start):
    server = start(APPLICATION, "--workers", "2")
    until(lambda: server.log.read_text().count("Application startup") + server.log.read_text().count("unsupported") >= 2)
    first = workers(server)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    server.until_logged(f"ERROR:    Child process [{first[0]}] died with exit code -9, and is replaced")
    until(lambda: len(workers(server)) == 2 and first[0] not in workers(server))
    assert server.get("/control/counts")[0] == 200
    assert server.stop() == 0


def test_a_second_signal_reaches_the_workers(start):
    server, name = start(APPLICATION, "--workers", "2"), new_gate()
    with request(server, f"/hang/{name}") as running:
        until(lambda: server.log.read_text().count("unsupported") == 2)
        server.until_logged(f"entered {name}")
        server.process.send_signal(signal.SIGINT)
        server.until_logged("Waiting for 1 requests to end.")
        server.process.send_signal(signal.SIGINT)
        assert is_cut_off(running)
    assert server.process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_workers_that_cannot_start_end_the_program(refuse):
    code, output = refuse("lifespans:fails_to_start", "--workers", "2")
    assert code == 3 and "no database" in output and "is replaced" not in output


def test_workers_end_when_their_parent_is_killed(start):
    server = start(APPLICATION, "--workers", "2")
    until(lambda: server.log.read_text().count("unsupported") == 2)
    pids = workers(server)
    server.process.kill()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))

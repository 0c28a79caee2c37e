"""HTTP as the ASGI specification has it."""

import ast
import contextlib
import json
import os
import socket

import pytest
from support import PATIENCE, leaves_nothing, new_gate, until


@pytest.fixture
def server(servers):
    server = servers("protocol:application", "--root-path", "/root")
    with leaves_nothing(server):
        yield server


def learnt(server, name):
    status, body = server.get(f"/learnt/{name}")
    assert status == 200
    return [ast.literal_eval(it) if it[0] in "{0123456789TF'" else it for it in json.loads(body)]


def exchange(server, request):
    """Sends bytes, and reads until the server closes the connection."""
    with server.connect() as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def scope(server):
    def get(target, *headers):
        lines = [f"GET {target} HTTP/1.1", "Host: there", "Connection: close", *headers]
        response = exchange(server, "\r\n".join([*lines, "", ""]).encode("latin-1"))
        return dict(ast.literal_eval(response.partition(b"\r\n\r\n")[2].decode()))

    return get


def test_the_scope_has_what_the_specification_lists(server, scope):
    found = scope("/scope?a=%20b&c")
    assert found.pop("client")[0] == "127.0.0.1"
    assert found == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/root/scope",
        "raw_path": b"/root/scope",
        "query_string": b"a=%20b&c",
        "root_path": "/root",
        "headers": [(b"host", b"there"), (b"connection", b"close")],
        "server": ("127.0.0.1", server.port),
        "state": {},
        "extensions": {},
    }


def test_headers_are_lower_case_bytes_in_their_order(scope):
    found = scope("/scope", "X-B: 1", "x-a: caf\xe9", "X-b: 2")
    assert found["headers"][2:] == [(b"x-b", b"1"), (b"x-b", b"2"), (b"x-a", b"caf\xe9")]


def test_the_path_is_decoded_and_the_raw_path_is_not(scope):
    found = scope("/%73cope?%73")
    assert (found["path"], found["raw_path"], found["query_string"]) == ("/root/scope", b"/root/%73cope", b"%73")


def test_the_version_is_that_of_the_request(server):
    assert b"('http_version', '1.0')" in exchange(server, b"GET /scope HTTP/1.0\r\n\r\n")


def test_an_application_receives_the_body_and_then_that_the_request_is_over(server):
    name = new_gate()
    head = f"POST /messages/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(server, head.encode() + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").endswith(b"\r\n\r\nabcde")
    *parts, last, over = learnt(server, name)
    assert all(part["type"] == "http.request" and part["more_body"] for part in parts)
    assert (last["type"], last["more_body"]) == ("http.request", False)
    assert over == {"type": "http.disconnect"}


def test_a_request_without_a_body_is_one_message(server):
    name = new_gate()
    server.get(f"/messages/{name}")
    empty = {"type": "http.request", "body": b"", "more_body": False}
    assert learnt(server, name) == [empty, {"type": "http.disconnect"}]


def test_a_client_is_told_to_continue_when_the_application_receives(server):
    name = new_gate()
    with server.connect() as connection:
        head = f"POST /upload/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        server.wait(f"entered-{name}")
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.settimeout(PATIENCE)
        server.open(f"take-{name}")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert learnt(server, name) == [3, "http.request"]


def test_a_body_waits_in_the_client_until_the_application_takes_it(server):
    name, size = new_gate(), 100_000_000
    with server.connect() as connection:
        connection.sendall(f"POST /upload/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        server.wait(f"entered-{name}")
        sent = 0
        connection.settimeout(0.5)
        with contextlib.suppress(socket.timeout):
            while sent < size:
                sent += connection.send(bytes(min(1_000_000, size - sent)))
        assert sent < size / 2
        server.open(f"take-{name}")
        connection.settimeout(PATIENCE)
        connection.sendall(bytes(size - sent))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert learnt(server, name) == [size, "http.request"]


def test_an_application_waits_until_the_client_takes_the_response(server):
    name = new_gate()
    with server.connect() as connection:
        connection.sendall(f"GET /download/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        before = -1

        def stands_still():
            nonlocal before
            now = int(server.get(f"/sent/{name}")[1])
            before, stood = now, now == before > 0
            return stood

        until(stands_still)
        for _ in range(50):
            assert stands_still()
        assert before < 32 * 1024
    server.wait(f"left-{name}")


def test_a_head_has_the_length_and_no_body(server):
    response = exchange(server, b"HEAD /scope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    length = int(dict(line.split(b": ") for line in response.split(b"\r\n")[1:-2])[b"content-length"])
    assert length > 100 and response.endswith(b"\r\n\r\n")


def test_an_application_may_stream_a_body_that_a_head_does_not_get(server):
    name = new_gate()
    response = exchange(server, f"HEAD /stream/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert response.startswith(b"HTTP/1.1 200 OK") and response.endswith(b"\r\n\r\n") and b"more" not in response
    assert server.get(f"/learnt/{name}") == (200, b"[\"'all sent'\"]")


def test_a_connection_whose_body_nobody_reads_ends_with_the_response(servers):
    server, name = servers("protocol:application", "--keep-alive-timeout", "1000"), new_gate()
    with leaves_nothing(server), server.connect() as connection:
        head = f"POST /unread/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
        connection.sendall(head.encode() + bytes(100_000))
        assert connection.recv(65536).endswith(b"unread")
        # The task of the application goes on.
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(65536) == b""
        server.open(f"go-on-{name}")


def test_a_large_body_in_one_message_comes_whole(server):
    body = bytes(range(256)) * 40_000
    head = f"POST /messages/{new_gate()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    assert exchange(server, head.encode() + body).endswith(b"\r\n\r\n" + body)


START, BODY = "'http.response.start'", "'http.response.body'"
OVER = "Expected ASGI message none after the response, but got {}."


@pytest.mark.parametrize(
    "kinds, error",
    [
        (["body"], f"RuntimeError: Expected ASGI message {START}, but got {BODY}."),
        (["start", "start"], f"RuntimeError: Expected ASGI message {BODY}, but got {START}."),
        (["start", "more", "start"], f"RuntimeError: Expected ASGI message {BODY}, but got {START}."),
        (["start", "body", "body"], "RuntimeError: " + OVER.format(BODY)),
        (["start", "body", "start"], "RuntimeError: " + OVER.format(START)),
    ],
)
def test_a_message_in_the_wrong_place_raises_in_the_application(server, kinds, error):
    _, body = server.get("/send/" + "/".join(kinds))
    if kinds[:-1]:
        body = json.loads(server.get("/learnt/send")[1])[0].strip("'\"").encode()
    assert body.decode() == error


@pytest.mark.parametrize(
    "message, error",
    [
        ("7", "TypeError: an ASGI message is a dict, not 7 of type int"),
        ("{'status': 200}", "ValueError: an ASGI message has its kind under 'type', as a str: {'status': 200}"),
        ("{'type': 'http.what'}", f"RuntimeError: Expected ASGI message {START}, but got 'http.what'."),
        ("{'type': 'http.response.start'}", "ValueError: 'status' is missing in http.response.start"),
        (
            "{'type': 'http.response.start', 'status': '200'}",
            "TypeError: 'status' of http.response.start is an int from 200 to 999, not '200' of type str",
        ),
        (
            "{'type': 'http.response.start', 'status': 200, 'headers': [('a', 'b')]}",
            "TypeError: 'headers' of http.response.start is an iterable of pairs of bytes, not ('a', 'b') of type tuple",
        ),
        (
            "{'type': 'http.response.start', 'status': 200, 'headers': [(b'a', b'b\\nc: d')]}",
            "ValueError: no header of HTTP in the headers of http.response.start: (b'a', b'b\\nc: d')",
        ),
        (
            "{'type': 'http.response.body', 'body': 'text'}",
            "TypeError: 'body' of http.response.body is bytes, not 'text' of type str",
        ),
    ],
)
def test_a_message_in_a_wrong_shape_raises_in_the_application(server, message, error):
    assert server.get("/send/" + message.encode().hex())[1].decode() == error


@pytest.mark.parametrize("length, word", [(3, "shorter"), (5, "longer")])
def test_a_body_of_another_length_than_announced_raises_in_the_application(server, length, word):
    assert server.get(f"/length/{length}") == (500, b"Internal Server Error")
    assert json.loads(server.get("/learnt/length")[1]) == [
        f"RuntimeError('Response content {word} than Content-Length')"
    ]
    server.until_logged("ASGI callable returned without completing response.")


def test_an_exception_before_the_response_is_a_500(server):
    assert server.get("/raise") == (500, b"Internal Server Error")
    server.until_logged("ERROR:    Exception in ASGI application\nTraceback")
    server.until_logged("LookupError: from the application")


def test_an_exception_in_the_middle_of_the_response_cuts_the_connection(server):
    request = b"GET /raise/start/more HTTP/1.1\r\nHost: x\r\n\r\n"
    response = exchange(server, request)
    assert response.startswith(b"HTTP/1.1 200 OK") and response.endswith(b"\r\n\r\n5\r\nmore,\r\n")
    server.until_logged("LookupError: from the application")


def test_an_application_that_returns_without_a_response_is_a_500(server):
    assert server.get("/return") == (500, b"Internal Server Error")
    server.until_logged("ERROR:    ASGI callable returned without starting response.")


def test_a_client_that_leaves_is_told_by_receive_and_then_by_send(server):
    name = new_gate()
    with server.connect() as connection:
        connection.sendall(f"GET /wait/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        server.wait(f"entered-{name}")
    assert learnt(server, name) == [{"type": "http.disconnect"}, True]


def test_a_body_that_is_cut_is_no_whole_body(server):
    name = new_gate()
    with server.connect() as connection:
        connection.sendall(f"POST /upload/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf".encode())
        server.wait(f"entered-{name}")
    server.open(f"take-{name}")
    assert learnt(server, name)[1] == "http.disconnect"


def test_a_request_waits_for_no_interpreter_where_tokio_has_a_thread(servers, loop, tmp_path):
    """A thread of tokio that attached in the path of a request would not answer another one meanwhile."""
    if loop == "tokio":
        loop_of_its_own = servers("protocol:application", "--loop", "asyncio")
    else:
        loop_of_its_own = servers("protocol:application")
    server, fifo = loop_of_its_own, tmp_path / "fifo"
    os.mkfifo(fifo)
    with server.connect() as holding, server.connect() as waiting:
        holding.sendall(f"GET /hold?{os.fsencode(fifo).hex()} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with fifo.open("wb", buffering=0) as release:
            # Nobody can attach now.
            waiting.sendall(b"POST /messages/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert exchange(server, b"no request\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request")
            waiting.setblocking(False)
            with pytest.raises(BlockingIOError):
                waiting.recv(1)
            release.write(b"!")
        waiting.settimeout(PATIENCE)
        assert holding.recv(65536).endswith(b"released")
        assert waiting.recv(65536).endswith(b"abc")

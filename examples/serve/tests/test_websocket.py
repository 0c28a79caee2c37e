"""WebSockets as the ASGI specification has them."""

import ast
import base64
import json
import os
import struct

import pytest
from support import PATIENCE, leaves_nothing, new_gate
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


@pytest.fixture
def server(servers):
    server = servers("protocol:application", "--ws-max-size", "100000")
    with leaves_nothing(server):
        yield server


def dial(server, path, **options):
    return connect(server.url(path, "ws"), open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None, **options)


def ends(socket):
    """The code and the reason with which the server closes."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(PATIENCE)
    frame = closed.value.rcvd
    return (frame.code, frame.reason) if frame else None


def learnt(server, name):
    return json.loads(server.get(f"/learnt/{name}")[1])


def test_text_and_bytes_come_back_as_they_went(server):
    with dial(server, "/echo") as socket:
        for message in ("text", "", "caf\xe9", b"bytes", b"", bytes(100_000)):
            socket.send(message)
            assert socket.recv(PATIENCE) == message


def test_an_application_chooses_the_protocol_and_adds_headers(server):
    with dial(server, "/echo", subprotocols=["one", "two"]) as socket:
        assert socket.subprotocol == "two"
        assert socket.response.headers["x"] == "y"


def test_messages_in_pieces_come_whole(server):
    with dial(server, "/echo") as socket:
        socket.send(iter(["a", "b", "c"]))
        assert socket.recv(PATIENCE) == "abc"


def test_an_application_closes_with_a_code_and_a_reason(server):
    name = new_gate()
    with dial(server, f"/close/{name}") as socket:
        assert ends(socket) == (4001, "enough")
    error, last = learnt(server, name)
    assert "Expected ASGI message none after the close or the response, but got 'websocket.send'." in error
    assert ast.literal_eval(last) == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}


def test_a_client_closes_with_a_code_and_a_reason(server):
    name = new_gate()
    with dial(server, f"/echo/{name}") as socket:
        socket.close(4002, "done")
    [last] = learnt(server, name)
    assert ast.literal_eval(last) == {"type": "websocket.disconnect", "code": 4002, "reason": "done"}


def test_a_client_that_goes_without_a_word_is_a_disconnect_1006(server):
    name = new_gate()
    with server.connect() as connection:
        connection.sendall(handshake(f"/echo/{name}"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 101")
    [last] = learnt(server, name)
    assert ast.literal_eval(last)["code"] == 1006


def test_a_denial_is_a_response(server):
    with pytest.raises(InvalidStatus) as denied:
        dial(server, "/deny")
    response = denied.value.response
    assert (response.status_code, response.body, response.headers["x-tea"]) == (418, b"no coffee", "green")


def test_a_close_before_the_accept_is_a_403(server):
    with pytest.raises(InvalidStatus) as refused:
        dial(server, "/refuse")
    assert refused.value.response.status_code == 403


def test_an_exception_before_the_accept_is_a_500(server):
    with pytest.raises(InvalidStatus) as failed:
        dial(server, "/fail")
    assert failed.value.response.status_code == 500
    server.until_logged("LookupError: from the application")


def test_an_exception_closes_with_1011(server):
    with dial(server, "/raise") as socket:
        assert ends(socket) == (1011, "")
    server.until_logged("LookupError: from the application")


def test_an_application_that_returns_closes_with_1000(server):
    with dial(server, "/return") as socket:
        assert ends(socket) == (1000, "")


def test_a_message_before_the_accept_raises_in_the_application(server):
    name = new_gate()
    with pytest.raises(InvalidStatus):
        dial(server, f"/early/{name}")
    [error] = learnt(server, name)
    assert "Expected ASGI message 'websocket.accept', 'websocket.close' or" in error and "got 'websocket.send'" in error
    server.until_logged("without completing the WebSocket handshake.")


@pytest.mark.parametrize(
    "message, error",
    [
        ("{'type': 'websocket.send'}", "ValueError: websocket.send has either 'bytes' or 'text'"),
        ("{'type': 'websocket.send', 'text': b'x'}", "TypeError: 'text' of websocket.send is a str, not b'x' of type bytes"),
        ("{'type': 'websocket.accept'}", "RuntimeError: Expected ASGI message 'websocket.send' or 'websocket.close', but got"),
        ("{'type': 'websocket.close', 'code': 1005}", "TypeError: 'code' of websocket.close is 1000 to 4999"),
        ("{'type': 'websocket.close', 'reason': 'x' * 124}", "ValueError: the reason of a close has up to 123 bytes, not 124"),
    ],
)
def test_a_wrong_message_raises_in_the_application(server, message, error):
    with dial(server, "/send/" + message.encode().hex()) as socket:
        assert socket.recv(PATIENCE).startswith(error)


def test_a_message_that_is_too_big_closes_with_1009(server):
    name = new_gate()
    with dial(server, f"/echo/{name}") as socket:
        socket.send(bytes(100_001))
        assert ends(socket)[0] == 1009
    assert ast.literal_eval(learnt(server, name)[0])["code"] == 1009


def test_a_ping_is_answered_while_the_application_does_something_else(server):
    name = new_gate()
    with dial(server, f"/wait/{name}") as socket:
        assert socket.ping().wait(PATIENCE)
        server.open(f"take-{name}")


def test_a_client_that_answers_pings_stays_and_one_that_does_not_is_gone(servers):
    server = servers("protocol:application", "--ws-ping-interval", "0.05", "--ws-ping-timeout", "0.2")
    name = new_gate()
    with leaves_nothing(server), dial(server, "/echo") as lively, server.connect() as silent:
        silent.sendall(handshake(f"/echo/{name}"))
        received = b"".join(iter(lambda: silent.recv(65536), b""))
        assert received.endswith(b"\x89\x00") and ast.literal_eval(learnt(server, name)[0])["code"] == 1006
        lively.send("still here")
        assert lively.recv(PATIENCE) == "still here"


@pytest.mark.parametrize(
    "frame, code",
    [
        # A frame that is not masked, a kind that does not exist, and a text that is not one.
        (b"\x81\x01a", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
    ],
)
def test_a_client_that_breaks_the_protocol_is_closed(server, frame, code):
    with server.connect() as connection:
        connection.sendall(handshake("/echo"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 101")
        connection.sendall(frame)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert struct.unpack(">xxH", answer[:4]) == (code,)


@pytest.mark.parametrize("line", [b"Sec-WebSocket-Version: 12", b"Sec-WebSocket-Key: x\r\nX: y"])
def test_a_wrong_handshake_is_a_400(server, line):
    name = line.partition(b":")[0]
    request = b"\r\n".join(it for it in handshake("/echo").split(b"\r\n") if not it.startswith(name))
    if name == b"Sec-WebSocket-Version":
        request = request.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")
    with server.connect() as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400") and b"sec-websocket-version: 13" in answer


def handshake(path):
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "", ""]).encode()

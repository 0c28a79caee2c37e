"""Programs and libraries that people use to talk to a server."""

import asyncio
import functools
import hashlib
import json
import os
import socket
import subprocess

import aiohttp
import httpx
import pytest
import websockets
from support import PATIENCE, new_gate, until

UPLOAD = bytes(range(256)) * 4096 * 5
DIGEST = f"{len(UPLOAD)} {hashlib.sha256(UPLOAD).hexdigest()}".encode()


def run(coroutine):
    async def patiently():
        return await asyncio.wait_for(coroutine, PATIENCE)

    return asyncio.run(patiently())


def curl(*arguments, given=b""):
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", str(PATIENCE), *arguments]
    done = subprocess.run(command, input=given, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(params=["1.1", "2, prior knowledge", "1.1, TLS", "2, TLS"])
def spoken(request, plain, encrypted):
    """A server, a function that runs curl with a version of HTTP, and the version."""
    version, *rest = request.param.split(", ")
    server, options = plain, ["--http1.1" if version == "1.1" else "--http2-prior-knowledge"]
    if rest == ["TLS"]:
        server, options = encrypted, ["--cacert", encrypted.certificate, "--http1.1" if version == "1.1" else "--http2"]
    return server, functools.partial(curl, *options), version


def test_curl_is_told_the_scope_of_its_request(spoken):
    server, speak, version = spoken
    scope = json.loads(speak("-X", "PATCH", "-H", "X-Twice: 1", "-H", "X-Twice: 2", server.url("/scope?a=%20b")))
    assert (scope["http_version"], scope["scheme"], scope["method"]) == (version, server.scheme, "PATCH")
    assert (scope["path"], scope["query_string"]) == ("/scope", "a=%20b")
    assert [value for name, value in scope["headers"] if name == "x-twice"] == ["1", "2"]
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
    assert server.port == scope["server"][1]


def test_curl_uploads_with_a_length_and_without(spoken):
    server, speak, _ = spoken
    assert speak("--data-binary", "@-", server.url("/hash"), given=UPLOAD) == DIGEST
    # Of what comes from a pipe, it does not know the length.
    assert speak("--upload-file", "-", "-X", "POST", server.url("/hash"), given=UPLOAD) == DIGEST


def test_curl_waits_for_100_continue(plain):
    told = curl("--http1.1", "--verbose", "--stderr", "-", "-H", "Expect: 100-continue", "--data-binary", "x", plain.url("/echo"))
    assert told.index(b"< HTTP/1.1 100 Continue") < told.index(b"< HTTP/1.1 200")


def test_curl_downloads_what_has_no_length(spoken):
    server, speak, _ = spoken
    assert len(speak(server.url("/download?80"))) == 80 * 64 * 1024


def test_curl_asks_for_the_head_alone(spoken):
    server, speak, version = spoken
    head = speak("--head", server.url("/scope"))
    assert head.startswith(f"HTTP/{version} 200".encode())
    assert b"content-type: application/json" in head and b"content-length: " in head
    assert speak("--head", server.url("/download?4")).startswith(f"HTTP/{version} 200".encode())


# By prior knowledge, curl 7.88 says a second time on a connection that it speaks HTTP/2: it is no user of ours.
@pytest.mark.parametrize("spoken", ["1.1", "1.1, TLS", "2, TLS"], indirect=True)
def test_curl_keeps_its_connection(spoken):
    server, speak, _ = spoken
    given = speak("--write-out", "%{num_connects}", server.url("/echo"), server.url("/echo"), "--output", "-", "--output", "-")
    assert given == b"10"


def test_curl_has_two_requests_in_one_connection_at_once(encrypted):
    gate = new_gate()
    urls = [encrypted.url(f"/control/wait/{gate}"), encrypted.url(f"/control/open/{gate}")]
    shown = ["--write-out", "%{num_connects} new\\n", "--output", os.devnull, "--output", os.devnull]
    given = curl("--http2", "--cacert", encrypted.certificate, "--parallel", "--parallel-max", "2", *shown, *urls)
    assert sorted(given.splitlines()) == [b"0 new", b"1 new"]


def test_curl_finds_a_server_on_a_socket_of_a_path(servers, tmp_path_factory):
    path = tmp_path_factory.mktemp("socket") / "serve.sock"
    servers("plain:application", uds=str(path))
    scope = json.loads(curl("--unix-socket", str(path), "http://localhost/scope"))
    assert scope["path"] == "/scope" and scope["server"][0] == str(path)


@pytest.mark.parametrize("http2", [False, True])
def test_httpx_uploads_and_downloads(encrypted, http2):
    async def pieces():
        for start in range(0, len(UPLOAD), 100_000):
            yield UPLOAD[start : start + 100_000]

    async def main():
        async with httpx.AsyncClient(http2=http2, verify=encrypted.context, timeout=PATIENCE) as client:
            uploads = [client.post(encrypted.url("/hash"), content=pieces()) for _ in range(4)]
            downloads = [client.get(encrypted.url("/download?16")) for _ in range(4)]
            *uploaded, one, two, three, four = await asyncio.gather(*uploads, *downloads)
        assert {response.http_version for response in uploaded} == {"HTTP/2" if http2 else "HTTP/1.1"}
        assert [response.content for response in uploaded] == [DIGEST] * 4
        assert {len(response.content) for response in (one, two, three, four)} == {16 * 64 * 1024}

    run(main())


def test_httpx_has_a_hundred_requests_in_one_connection_at_once(plain):
    async def main():
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http1=False, http2=True, limits=limits, timeout=PATIENCE) as client:
            waiting = [client.get(plain.url(f"/control/wait/{gate}-{number}")) for number in range(50)]
            opening = [client.get(plain.url(f"/control/open/{gate}-{number}")) for number in range(50)]
            responses = await asyncio.gather(*waiting, *opening)
        assert {(response.status_code, response.http_version) for response in responses} == {(200, "HTTP/2")}

    gate = new_gate()
    run(main())


def test_httpx_keeps_a_connection_for_a_thousand_requests(plain):
    async def main():
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            seen = {tuple((await client.get(plain.url("/scope"))).json()["client"]) for _ in range(1000)}
        assert len(seen) == 1

    run(main())


def test_aiohttp_sends_many_requests_at_once(plain):
    async def main():
        async with aiohttp.ClientSession() as session:

            async def post(number):
                async with session.post(plain.url("/echo"), data=str(number)) as response:
                    return await response.text()

            assert await asyncio.gather(*map(post, range(500))) == [str(number) for number in range(500)]

    run(main())


def test_aiohttp_talks_over_a_websocket(plain):
    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(plain.url("/ws"), protocols=["other", "echo"]) as connection:
                assert connection.protocol == "echo"
                await connection.send_str("h\u00e9")
                await connection.send_bytes(b"\xff\x00")
                assert [await connection.receive_str(), await connection.receive_bytes()] == ["h\u00e9", b"\xff\x00"]
                await connection.send_str("close")
                message = await connection.receive()
                assert (message.data, message.extra) == (4000, "asked to")

    run(main())


def test_websockets_sends_large_and_fragmented_messages(plain):
    async def main():
        async with websockets.connect(plain.url("/ws", "ws"), max_size=None) as connection:
            assert connection.subprotocol is None
            assert connection.response.headers["x-application"] == "plain"
            large = "\u20ac" * 300_000
            await connection.send(large)
            assert await connection.recv() == large
            await connection.send([b"in ", b"three ", b"frames"])
            assert await connection.recv() == b"in three frames"
            await (await connection.ping())

    run(main())


@pytest.mark.parametrize(["way", "code"], [("close", 4321), ("abort", 1006)])
def test_a_websocket_that_its_client_leaves_tells_the_code(plain, way, code):
    async def main():
        async with websockets.connect(plain.url(f"/ws?{gate}", "ws")) as connection:
            if way == "close":
                await connection.close(code)
            else:
                connection.transport.abort()

    gate = new_gate()
    run(main())
    plain.wait(f"left-{code}-{gate}")


@pytest.mark.parametrize(["path", "status"], [("/refused", 403), ("/denied", 418)])
def test_a_websocket_is_refused_with_a_response(plain, path, status):
    async def main():
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(plain.url(path, "ws"))
        response = refused.value.response
        assert response.status_code == status
        if status == 418:
            assert (response.headers["x-reason"], response.body) == ("tea", b"a teapot")

    run(main())


def test_a_websocket_over_tls(encrypted):
    async def main():
        async with websockets.connect(encrypted.url("/ws", "ws"), ssl=encrypted.context) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"

    run(main())


def test_a_body_waits_outside_until_the_application_reads_it(plain):
    """64 MiB are on their way, and neither side keeps them in memory."""
    chunk, chunks, gate = bytes(64 * 1024), 1024, new_gate()
    memory = plain.memory()
    with plain.connect() as client:
        client.sendall(f"POST /hash-later?{gate} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(chunk) * chunks}\r\n\r\n".encode())
        client.settimeout(0.3)
        sent = 0
        # When the socket takes nothing more for a while, the server does not read.
        try:
            while sent < len(chunk) * chunks:
                sent += client.send(chunk[sent % len(chunk) :])
        except socket.timeout:
            pass
        assert sent < 32 * 1024 * 1024
        plain.open(gate)
        client.settimeout(PATIENCE)
        client.sendall(bytes(len(chunk) * chunks - sent))
        expected = f"{len(chunk) * chunks} {hashlib.sha256(bytes(len(chunk) * chunks)).hexdigest()}"
        answer = b""
        while not answer.endswith(expected.encode()):
            piece = client.recv(4096)
            assert piece, answer
            answer += piece
    assert plain.memory() - memory < 16 * 1024 * 1024


def test_a_response_waits_in_the_application_until_the_client_reads_it(plain):
    memory = plain.memory()
    with plain.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.sendall(b"GET /download?1024 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = len(client.recv(1))
        # The server takes chunks until its buffers are full.
        seen = []

        def stands_still():
            seen.append(plain.get("/sent"))
            return seen[-10:] == seen[-1:] * 10

        until(stands_still)
        assert int(seen[-1][1]) < 512
        while piece := client.recv(1 << 20):
            received += len(piece)
    assert received > 1024 * 64 * 1024
    assert plain.memory() - memory < 16 * 1024 * 1024

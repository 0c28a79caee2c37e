"""Whatever comes in, nothing hangs, nothing is left, and the next request is served."""

import asyncio
import contextlib
import itertools
import random
import socket
import struct

import pytest
from support import PATIENCE, leaves_nothing, new_gate

VALID = [
    b"GET /scope?a=b HTTP/1.1\r\nhost: localhost\r\nuser-agent: mutant\r\naccept: */*\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 11\r\n\r\nhello world",
    b"POST /hash HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody",
    b"GET /scope HTTP/1.1\r\nhost: localhost\r\n\r\nHEAD /scope HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x85\x00\x00\x00\x00hello\x88\x82\x00\x00\x00\x00\x03\xe8",
    # HTTP/2: the preface, empty settings, and a request for / of indexed fields.
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\x03\x01\x05\0\0\0\x01\x82\x84\x86",
]
PIECES = [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"\t", b"\xff", b"%00", b"chunked", b"18446744073709551616", b"-1", b"0x10", b"\r\n\r\n"]
PIECES += [b"transfer-encoding: chunked\r\n", b"content-length: 5\r\n", b"content-length: 99\r\n", b"upgrade: h2c\r\n", b"expect: 200-ok\r\n"]


def mutant(chance):
    """A request with one to four faults."""
    data = bytearray(chance.choice(VALID))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.randint(1, 40))
        way = chance.randrange(6)
        if way == 0:
            data[at:end] = b""
        elif way == 1:
            data[at:at] = chance.choice(PIECES)
        elif way == 2:
            data[at:end] = chance.randbytes(end - at)
        elif way == 3:
            data[at:at] = data[at:end] * chance.choice([1, 2, 50])
        elif way == 4:
            del data[at:]
        elif at < len(data):
            data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


async def exchange(server, data, patience=PATIENCE):
    """Sends it. Returns the answer up to its end. A server that waits for more data is told after a while that there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answer = b""
    # The server may close a connection that has data which it does not read: that resets it.
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()
        with contextlib.suppress(asyncio.TimeoutError):
            answer = await asyncio.wait_for(reader.read(4096), patience)
        writer.write_eof()
        while piece := await reader.read(4096):
            answer += piece
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer


def test_three_thousand_mutated_requests(plain):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    mutants = [mutant(random.Random(seed + number)) for number in range(3000)]
    statuses = {}

    async def send_some():
        while mutants:
            data = mutants.pop()
            try:
                answer = await asyncio.wait_for(exchange(plain, data, 0.05), PATIENCE)
            except asyncio.TimeoutError:
                pytest.fail(f"the server does not end a connection after {data!r}")
            statuses[answer[:12]] = statuses.get(answer[:12], 0) + 1
            if len(mutants) % 100 == 0:
                assert (await exchange(plain, VALID[0])).startswith(b"HTTP/1.1 200 ")

    async def main():
        await asyncio.gather(*(send_some() for _ in range(32)))

    asyncio.run(main())
    # Some were still good, some were not: it is not the server that refuses all, or takes all.
    assert statuses[b"HTTP/1.1 200"] > 100 and statuses[b"HTTP/1.1 400"] > 100, statuses


BEGINNINGS = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a header": b"GET / HTTP/1.1\r\nhost: local",
    "half a body": b"POST /hash HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nhalf",
    "half a chunk": b"POST /hash HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf",
    "half a preface": b"PRI * HTTP/2.0\r\n\r\nS",
    "half a handshake": VALID[5][:100],
    "a websocket that says nothing": VALID[5].partition(b"\x81")[0],
    "an answer that nobody reads": b"GET /download?1000 HTTP/1.1\r\nhost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("ending", ["closed", "reset"])
def test_three_hundred_half_open_connections(plain, ending):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(plain.connect()) for _ in range(300)]
        for client, beginning in zip(clients, itertools.cycle(BEGINNINGS.values())):
            client.sendall(beginning)
        # All are accepted before one ends: connections are accepted in order.
        assert plain.get("/scope")[0] == 200
        assert plain.counts()["descriptors"] > 300
        if ending == "reset":
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert plain.get("/scope")[0] == 200


@pytest.mark.parametrize("beginning", ["half a body", "half a chunk"])
def test_a_truncated_body_is_a_disconnect(plain, beginning):
    name = new_gate()
    with plain.connect() as client:
        client.sendall(BEGINNINGS[beginning].replace(b"/hash", b"/truncated?" + name.encode()))
    plain.wait(name)


def answer_to(server, data):
    return asyncio.run(asyncio.wait_for(exchange(server, data), PATIENCE))


MALFORMED = {
    "no version": b"GET /\r\n\r\n",
    "an unknown version": b"GET / HTTP/3.7\r\nhost: x\r\n\r\n",
    "no name of a header": b"GET / HTTP/1.1\r\nhost: x\r\n: value\r\n\r\n",
    "a blank in a name": b"GET / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n",
    "a zero in a value": b"GET / HTTP/1.1\r\nhost: x\r\na: \0\r\n\r\n",
    "a length that is no number": b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: ten\r\n\r\n",
    "a negative length": b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a WebSocket with a body": VALID[5].replace(b"\r\n\r\n", b"\r\ncontent-length: 9\r\n\r\n", 1),
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("malformed", MALFORMED)
def test_a_malformed_request_is_a_400(plain, malformed):
    assert answer_to(plain, MALFORMED[malformed]).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [b"zz", b"", b"-5", b"fffffffffffffffffff"])
def test_a_malformed_chunk_is_a_400(plain, size):
    head = b"POST /hash HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = answer_to(plain, head + size + b"\r\nabc\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


TOO_MUCH = {
    "a header of a megabyte": b"a: " + b"b" * (1 << 20) + b"\r\n",
    "ten thousand headers": b"a: b\r\n" * 10_000,
}


@pytest.mark.parametrize("much", TOO_MUCH)
def test_too_many_or_too_large_headers_are_a_431(plain, much):
    with plain.connect() as client:
        # It answers before it has read all, and closes.
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n" + TOO_MUCH[much] + b"\r\n")
        answer = b""
        with contextlib.suppress(OSError):
            answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_headers_that_come_too_slowly_end_the_connection(servers):
    server = servers("plain:application", "--header-timeout", "1")
    with leaves_nothing(server), contextlib.ExitStack() as stack:
        slow = {}
        for beginning in ("nothing", "half a line", "half a header", "half a preface", "half a handshake"):
            slow[beginning] = stack.enter_context(server.connect())
            slow[beginning].sendall(BEGINNINGS[beginning])
        # The end comes from the server: these clients only wait.
        for client in slow.values():
            with contextlib.suppress(ConnectionError):
                while client.recv(4096):
                    pass
    assert server.get("/scope")[0] == 200

"""An ASGI application without a framework."""

import asyncio
import hashlib
import json

from common import around, gate, respond

CHUNK = bytes(64 * 1024)


async def dispatch(scope, receive, send):
    handler = {"http": http, "websocket": websocket, "lifespan": lifespan}[scope["type"]]
    await handler(scope, receive, send)


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def http(scope, receive, send):
    path, name = scope["path"], scope["query_string"].decode()
    if path == "/scope":
        told = {key: scope[key] for key in ("http_version", "method", "path", "scheme", "client", "server")}
        told["query_string"] = name
        told["headers"] = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
        await respond(send, json.dumps(told).encode(), headers=[(b"content-type", b"application/json")])
    elif path == "/hash":
        await respond(send, await digest(receive))
    elif path == "/hash-later":
        await gate(name).wait()
        await respond(send, await digest(receive))
    elif path == "/echo":
        body = b"".join([chunk async for chunk in body_of(receive)])
        await respond(send, body)
    elif path == "/download":
        await download(send, int(name))
    elif path == "/sent":
        await respond(send, str(download.sent).encode())
    elif path == "/truncated":
        await truncated(receive, name)
    else:
        await respond(send, b"no such page", status=404)


async def body_of(receive):
    """The pieces of the body. It ends early if the client is gone."""
    message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        yield message.get("body", b"")


async def digest(receive):
    """The length and the hash of the body."""
    length, sha256 = 0, hashlib.sha256()
    async for chunk in body_of(receive):
        length += len(chunk)
        sha256.update(chunk)
    return f"{length} {sha256.hexdigest()}".encode()


async def download(send, chunks):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(chunks):
        download.sent = number
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body"})


async def truncated(receive, name):
    """Opens the gate once the client is known to be gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gate(name).set()


async def websocket(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/refused":
        await send({"type": "websocket.close", "code": 1000})
        return
    if scope["path"] == "/denied":
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-reason", b"tea")]})
        await send({"type": "websocket.http.response.body", "body": b"a teapot"})
        return
    wanted = [protocol for protocol in scope["subprotocols"] if protocol == "echo"]
    accept = {"type": "websocket.accept", "subprotocol": wanted[0] if wanted else None}
    await send({**accept, "headers": [(b"x-application", b"plain")]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            gate(f"left-{message['code']}-{scope['query_string'].decode()}").set()
            return
        text = message.get("text")
        if text == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked to"})
            return
        if text is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


application = around(dispatch)

"""What an application sees of the protocol. The path chooses what it does, and what it learns waits under `/learnt/NAME`."""

import asyncio
import ctypes
import json
import os
import signal

from common import around, gate, respond

import serve

learnt = {}
MESSAGES = {
    "start": {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]},
    "more": {"type": "http.response.body", "body": b"more,", "more_body": True},
    "body": {"type": "http.response.body", "body": b"body"},
}


async def application(scope, receive, send):
    if scope.get("root_path") and "/control/" in scope["path"]:
        scope = {**scope, "path": scope["path"].removeprefix(scope["root_path"])}
    await controlled(scope, receive, send)


@around
async def controlled(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        return await websocket(scope, receive, send)
    _, action, *names = scope["path"].removeprefix(scope["root_path"]).split("/")
    await globals()[f"do_{action}"](scope, receive, send, *names)


async def do_scope(scope, receive, send):
    await respond(send, repr(sorted(scope.items())).encode())


async def do_learnt(scope, receive, send, name):
    await gate(f"learnt-{name}").wait()
    await respond(send, json.dumps(learnt.pop(name)).encode())


def learn(name, *what):
    learnt[name] = [repr(it) for it in what]
    gate(f"learnt-{name}").set()


async def do_messages(scope, receive, send, name):
    """Receives until the body ends, responds, and receives once more."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    await respond(send, b"".join(message["body"] for message in messages if "body" in message))
    learn(name, *messages, await receive())


async def do_send(scope, receive, send, *kinds):
    """Sends known messages, the last of which is refused."""
    for kind in kinds[:-1]:
        await send(MESSAGES[kind])
    message = MESSAGES.get(kinds[-1]) or eval(bytes.fromhex(kinds[-1]))
    try:
        await send(message)
    except Exception as error:
        text = f"{type(error).__name__}: {error}".encode()
    else:
        text = b"not refused"
    if kinds[:-1] == ():
        await respond(send, text)
    else:
        learn("send", text.decode())
        if "body" not in kinds[:-1]:
            await send({"type": "http.response.body", "body": b""})


async def do_stream(scope, receive, send, name):
    for kind in ("start", "more", "more", "body"):
        await send(MESSAGES[kind])
    learn(name, "all sent")


async def do_unread(scope, receive, send, name):
    """Responds without a look at the body, and goes on."""
    await respond(send, b"unread")
    await gate(f"go-on-{name}").wait()


async def do_length(scope, receive, send, length):
    """Announces a body of four bytes, and sends another."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    try:
        await send({"type": "http.response.body", "body": bytes(int(length))})
    except RuntimeError as error:
        learn("length", error)


async def do_wait(scope, receive, send, name):
    """Waits for the client to leave, then tries to send."""
    await receive()
    gate(f"entered-{name}").set()
    left = await receive()
    try:
        await send(MESSAGES["start"])
    except OSError as error:
        learn(name, left, type(error) is serve.ClientDisconnected)


async def do_upload(scope, receive, send, name):
    """Takes the body only when it may."""
    gate(f"entered-{name}").set()
    await gate(f"take-{name}").wait()
    length, last = 0, {}
    while last.get("type") != "http.disconnect":
        last = await receive()
        length += len(last.get("body", b""))
        if last.get("more_body") is False:
            break
    learn(name, length, last["type"])
    await respond(send, b"")


async def do_download(scope, receive, send, name):
    """Sends without an end, and counts."""
    await send(MESSAGES["start"])
    try:
        while True:
            await send({"type": "http.response.body", "body": bytes(64 * 1024), "more_body": True})
            learnt[name] = learnt.get(name, 0) + 64
    except OSError:
        gate(f"left-{name}").set()


async def do_sent(scope, receive, send, name):
    """How many KiB the download has sent."""
    await respond(send, str(learnt.get(name, 0)).encode())


async def do_raise(scope, receive, send, *kinds):
    for kind in kinds:
        await send(MESSAGES[kind])
    raise LookupError("from the application")


async def do_return(scope, receive, send, *kinds):
    for kind in kinds:
        await send(MESSAGES[kind])


async def do_hold(scope, receive, send):
    """Reads a byte from a FIFO while it holds the interpreter, as no Python function does."""
    file = os.open(bytes.fromhex(scope["query_string"].decode()).decode(), os.O_RDONLY)
    ctypes.PyDLL(None).read(file, ctypes.create_string_buffer(1), 1)
    os.close(file)
    await respond(send, b"released")


async def do_hang(scope, receive, send, name):
    """Ends when it is cancelled, when its gate opens, or by a signal."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, gate(f"go-on-{name}").set)
    gate(f"entered-{name}").set()
    print(f"entered {name}", flush=True)
    try:
        await gate(f"go-on-{name}").wait()
    finally:
        print(f"ended {name}", flush=True)
    await respond(send, b"done")


async def websocket(scope, receive, send):
    assert await receive() == {"type": "websocket.connect"}
    _, action, *names = scope["path"].split("/")
    if action == "deny":
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-tea", b"green")]})
        await send({"type": "websocket.http.response.body", "body": b"no ", "more_body": True})
        return await send({"type": "websocket.http.response.body", "body": b"coffee"})
    if action == "refuse":
        return await send({"type": "websocket.close"})
    if action == "fail":
        raise LookupError("from the application")
    if action == "early":
        try:
            await send({"type": "websocket.send", "text": "early"})
        except RuntimeError as error:
            return learn(names[0], error)
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[-1], "headers": [(b"x", b"y")]})
    if action == "close":
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        try:
            await send({"type": "websocket.send", "text": "late"})
        except RuntimeError as error:
            return learn(names[0], error, await receive())
    if action == "raise":
        raise LookupError("from the application")
    if action == "return":
        return
    if action == "wait":
        await gate(f"take-{names[0]}").wait()
    if action == "send":
        try:
            await send(eval(bytes.fromhex(names[0])))
        except Exception as error:
            return await send({"type": "websocket.send", "text": f"{type(error).__name__}: {error}"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            try:
                await send({"type": "websocket.send", "text": "late"})
            except OSError:
                return learn(names[0], message) if names else None
        await send({**message, "type": "websocket.send"})

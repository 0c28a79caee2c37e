"""What the applications share. A test opens gates, waits at gates, and counts what is alive, from outside.

A gate is an `asyncio.Event` with a name. The application and the test agree on the name in the request.
"""

import asyncio
import gc
import json
import os
import sys

gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


def counts():
    """What the process has open. The request that asks is a part of it."""
    # The list of descriptors is read through a descriptor.
    descriptors = len(os.listdir("/proc/self/fd")) - 1
    threads = len(os.listdir("/proc/self/task"))
    return {"descriptors": descriptors, "tasks": len(asyncio.all_tasks()), "threads": threads}


def around(application):
    """The application, and `/control/open/NAME`, `/control/wait/NAME` and `/control/counts`.

    `/control/collect/NAME` collects garbage until the gate is open.
    """

    async def controlled(scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith("/control/"):
            await application(scope, receive, send)
            return
        _, _, action, *names = scope["path"].split("/")
        if action == "open":
            gate(names[0]).set()
        elif action == "wait":
            await gate(names[0]).wait()
        elif action == "collect":
            while not gate(names[0]).is_set():
                gc.collect()
                await asyncio.sleep(0.01)
        await respond(send, json.dumps(counts()).encode())

    return controlled


async def respond(send, body, status=200, headers=()):
    headers = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Failure(Exception):
    """What the handlers raise."""


# What the handlers of every framework give.


async def chunks(count):
    for _ in range(count):
        yield bytes(64 * 1024)


async def numbers(name):
    """Three events. The second waits until the client has the first."""
    for number in range(3):
        yield f"id: {number}\ndata: {name}\n\n"
        if number < 2:
            await gate(f"{name}-{number}").wait()


async def chunks_and_failure(name):
    yield b"first"
    raise Failure(name)


async def endless(name):
    try:
        while True:
            yield bytes(64 * 1024)
            await asyncio.sleep(0)
    finally:
        gate(f"left-{name}").set()


async def finish(name):
    """The client has the response before this goes on."""
    await gate(f"begun-{name}").wait()
    gate(f"finished-{name}").set()

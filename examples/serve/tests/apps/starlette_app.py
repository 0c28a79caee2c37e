"""The routes of `test_frameworks.py` in Starlette."""

import hashlib

from common import Failure, around, chunks, chunks_and_failure, endless, finish, gate, numbers
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute


async def upload(request):
    length, sha256 = 0, hashlib.sha256()
    async for chunk in request.stream():
        length += len(chunk)
        sha256.update(chunk)
    return JSONResponse({"length": length, "sha256": sha256.hexdigest()})


async def form(request):
    async with request.form() as form:
        return JSONResponse({"name": form["file"].filename, "length": len(await form["file"].read()), "title": form["title"]})


async def stream(request):
    return StreamingResponse(chunks(int(request.query_params["count"])))


async def events(request):
    return StreamingResponse(numbers(request.query_params["name"]), media_type="text/event-stream")


async def background(request):
    name = request.query_params["name"]
    return PlainTextResponse("begun", background=BackgroundTask(finish, name))


async def fail(request):
    raise Failure(request.query_params["name"])


async def fail_late(request):
    return StreamingResponse(chunks_and_failure(request.query_params["name"]))


async def leave(request):
    """Waits for the client to go."""
    name = request.query_params["name"]
    gate(f"entered-{name}").set()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gate(f"left-{name}").set()
    return PlainTextResponse("too late")


async def leave_stream(request):
    return StreamingResponse(endless(request.query_params["name"]))


async def talk(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_json({"said": text})


routes = [
    Route("/upload", upload, methods=["POST"]),
    Route("/form", form, methods=["POST"]),
    Route("/stream", stream),
    Route("/events", events),
    Route("/background", background),
    Route("/fail", fail),
    Route("/fail-late", fail_late),
    Route("/leave", leave),
    Route("/leave-stream", leave_stream),
    WebSocketRoute("/talk", talk),
]
application = around(Starlette(routes=routes))

"""The routes of `test_frameworks.py` in FastAPI, and handlers in Rust."""

import hashlib
from typing import Annotated

from common import Failure, around, chunks, chunks_and_failure, endless, finish, gate, numbers
from fastapi import BackgroundTasks, FastAPI, Form, Request, UploadFile, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from pyo3_asyncio_pytests import tokio as rust

app = FastAPI()


@app.post("/upload")
async def upload(request: Request):
    length, sha256 = 0, hashlib.sha256()
    async for chunk in request.stream():
        length += len(chunk)
        sha256.update(chunk)
    return {"length": length, "sha256": sha256.hexdigest()}


@app.post("/form")
async def form(file: UploadFile, title: Annotated[str, Form()]):
    return {"name": file.filename, "length": len(await file.read()), "title": title}


@app.get("/stream")
async def stream(count: int):
    return StreamingResponse(chunks(count))


@app.get("/events")
async def events(name: str):
    return StreamingResponse(numbers(name), media_type="text/event-stream")


@app.get("/background")
async def background(name: str, tasks: BackgroundTasks):
    tasks.add_task(finish, name)
    return PlainTextResponse("begun")


@app.get("/fail")
async def fail(name: str):
    raise Failure(name)


@app.get("/fail-late")
async def fail_late(name: str):
    return StreamingResponse(chunks_and_failure(name))


@app.get("/leave")
async def leave(name: str, request: Request):
    gate(f"entered-{name}").set()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gate(f"left-{name}").set()
    return PlainTextResponse("too late")


@app.get("/leave-stream")
async def leave_stream(name: str):
    return StreamingResponse(endless(name))


@app.websocket("/talk")
async def talk(websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_json({"said": text})


# Exported by the attribute from another extension module, which has a runtime of its own.
app.get("/search/{text}")(rust.search)


@app.get("/countdown")
async def countdown(start: int):
    return StreamingResponse(f"{number} " async for number in rust.countdown(start))


application = around(app)

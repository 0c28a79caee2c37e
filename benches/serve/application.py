"""The applications that every server runs."""

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"12")]
CHUNK = b"x" * 1024


async def bare(scope, receive, send):
    if scope["type"] == "http":
        await PAGES[scope["path"]](receive, send)
    elif scope["type"] == "websocket":
        await echo_messages(receive, send)
    else:
        await lifespan(receive, send)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def hello(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"hello, world"})


async def echo(receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


async def chunks(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body"})


PAGES = {"/": hello, "/echo": echo, "/chunks": chunks}


async def echo_messages(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def greet(request):
    return JSONResponse({"hello": "world", "numbers": [1, 2, 3]})


starlette = Starlette(routes=[Route("/json", greet)])
fastapi = FastAPI()


@fastapi.get("/items/{number}")
async def item(number: int):
    return {"number": number}

"""Applications as people write them, in the frameworks that they use."""

import asyncio
import hashlib
import json

import django
import httpx
import pytest
import websockets
from support import PATIENCE, leaves_nothing, new_gate, until

MIB = 1024 * 1024
# Before version 5, Django does not notice that a client leaves. It is what Python 3.9 has.
FRAMEWORKS = ["starlette", "fastapi", *(["django"] if django.VERSION >= (5,) else [])]


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture
def server(servers, framework):
    server = servers(f"{framework}_app:application")
    if framework == "fastapi":
        # The runtime of the module in Rust stays.
        server.get("/search/anything")
    # A framework keeps the threads of its pool.
    with leaves_nothing(server, "descriptors", "tasks"):
        yield server


@pytest.fixture
def run(server):
    """Runs a function with a client of the server."""

    async def with_client(function):
        async with httpx.AsyncClient(base_url=server.url(""), timeout=PATIENCE) as client:
            await function(client)

    return lambda function: asyncio.run(asyncio.wait_for(with_client(function), PATIENCE))


def test_an_upload_of_64_mib_is_never_in_memory(server, run):
    piece = bytes(range(256)) * 1024

    async def pieces():
        for _ in range(256):
            yield piece

    async def main(client):
        response = await client.post("/upload", content=pieces())
        assert response.json() == {"length": 64 * MIB, "sha256": hashlib.sha256(piece * 256).hexdigest()}

    memory = server.memory()
    run(main)
    assert server.memory() - memory < 16 * MIB


def test_a_form_with_a_file_arrives(run):
    async def main(client):
        files = {"file": ("n\u00e9w.bin", bytes(3 * MIB))}
        response = await client.post("/form", files=files, data={"title": "\u00dcber"})
        assert response.json() == {"name": "n\u00e9w.bin", "length": 3 * MIB, "title": "\u00dcber"}

    run(main)


def test_a_streaming_response_of_64_mib_is_never_in_memory(server, run):
    async def main(client):
        async with client.stream("GET", "/stream?count=1024") as response:
            assert sum([len(chunk) async for chunk in response.aiter_raw()]) == 64 * MIB

    memory = server.memory()
    run(main)
    assert server.memory() - memory < 16 * MIB


def test_server_sent_events_arrive_one_by_one(run):
    async def main(client):
        seen = []
        async with client.stream("GET", f"/events?name={name}") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            async for line in response.aiter_lines():
                if line.startswith("id: "):
                    seen.append(line)
                    # It sends the next event only now.
                    await client.get(f"/control/open/{name}-{len(seen) - 1}")
        assert seen == ["id: 0", "id: 1", "id: 2"]

    name = new_gate()
    run(main)


def test_a_background_task_runs_after_the_response(run):
    async def main(client):
        assert (await client.get(f"/background?name={name}")).text == "begun"
        await client.get(f"/control/open/begun-{name}")
        await client.get(f"/control/wait/finished-{name}")

    name = new_gate()
    run(main)


def test_an_exception_is_a_500_and_is_logged(server, run):
    async def main(client):
        response = await client.get(f"/fail?name={name}")
        assert response.status_code == 500
        assert name not in response.text

    name = new_gate()
    run(main)
    server.until_logged(f"common.Failure: {name}")


def test_an_exception_after_the_first_chunk_cuts_the_connection(server, run):
    async def main(client):
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", f"/fail-late?name={name}") as response:
                assert response.status_code == 200
                async for _ in response.aiter_raw():
                    pass

    name = new_gate()
    run(main)
    server.until_logged(f"common.Failure: {name}")


def test_a_handler_is_told_that_its_client_is_gone(server, run):
    async def main(client):
        asking = asyncio.create_task(client.get(f"/leave?name={name}"))
        async with httpx.AsyncClient(base_url=client.base_url) as other:
            await other.get(f"/control/wait/entered-{name}")
            asking.cancel()
            await other.get(f"/control/wait/left-{name}")

    name = new_gate()
    run(main)


def test_a_stream_ends_when_its_client_is_gone(framework, server, run):
    # Django's handler leaves the stream in a reference cycle, with the error of the task that heard of the client.
    action = "collect" if framework == "django" else "wait"

    async def main(client):
        async with client.stream("GET", f"/leave-stream?name={name}") as response:
            async for _ in response.aiter_raw():
                break
        await client.get(f"/control/{action}/left-{name}")

    name = new_gate()
    run(main)


@pytest.mark.parametrize("framework", ["fastapi"], indirect=True)
def test_handlers_in_rust_answer(server, run):
    async def main(client):
        answers = [client.get(f"/search/{number}?exact=true") for number in range(100)]
        assert [response.json() for response in await asyncio.gather(*answers)] == [{str(number): 1} for number in range(100)]
        assert (await client.get("/search/book?limit=many")).status_code == 422
        assert (await client.get("/search/book?limit=0")).status_code == 500
        assert (await client.get("/countdown?start=4")).text == "3 2 1 0 "

    run(main)
    server.until_logged("ValueError: no limit")


@pytest.mark.parametrize("framework", ["starlette", "fastapi"], indirect=True)
def test_a_websocket_of_a_framework(server):
    async def main():
        async with websockets.connect(server.url("/talk", "ws")) as connection:
            for text in ("one", "two"):
                await connection.send(text)
                assert json.loads(await connection.recv()) == {"said": text}

    asyncio.run(asyncio.wait_for(main(), PATIENCE))

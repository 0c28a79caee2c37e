"""An application of FastAPI whose handlers are exported functions."""

import functools

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient


@pytest.fixture
def client(exported):
    application = FastAPI()
    shared = exported.Shared("Rust")
    application.get("/search/{text}")(exported.search)
    application.get("/double")(exported.Shared.double)
    application.post("/greet")(shared.greet)
    application.get("/ten")(functools.partial(exported.search, limit=10))
    application.get("/call")(shared)

    @application.get("/first")
    async def first(number: int = Depends(exported.countdown)):
        return number

    @application.exception_handler(ValueError)
    async def refuse(request: Request, error: ValueError):
        return JSONResponse({"refused": str(error)}, status_code=400)

    with TestClient(application) as client:
        yield client


def test_handlers_in_rust_answer_requests(client):
    """https://github.com/cython/cython/issues/2092"""
    assert client.get("/search/book").json() == {"book": 1, "books": 10}
    assert client.get("/search/book?limit=2&exact=true").json() == {"book": 1}
    assert client.get("/double?number=21").json() == 42.0
    assert client.post("/greet?greeting=hi").json().startswith("hi, Rust on ")
    assert client.get("/ten?text=book").json() == {"book": 1, "books": 10}
    assert client.get("/call?number=21").json() == 42


def test_an_argument_of_the_wrong_type_is_refused_before_rust_sees_it(client):
    response = client.get("/search/book?limit=many")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "limit"]


def test_the_error_of_a_handler_reaches_the_exception_handlers(client):
    response = client.get("/search/book?limit=0")
    assert (response.status_code, response.json()) == (400, {"refused": "no limit"})


def test_handlers_in_rust_are_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    search = paths["/search/{text}"]["get"]
    assert search["description"] == "Searches what is for sale."
    parameters = {it["name"]: (it["in"], it["required"], it["schema"].get("default")) for it in search["parameters"]}
    assert parameters == {"text": ("path", True, None), "limit": ("query", False, 10), "exact": ("query", False, None)}
    assert search["parameters"][1]["schema"]["type"] == "integer"
    schema = search["responses"]["200"]["content"]["application/json"]["schema"]
    assert (schema["type"], schema["additionalProperties"]) == ("object", {"type": "integer"})
    for path in ("/double", "/call"):
        (parameter,) = paths[path]["get"]["parameters"]
        assert (parameter["name"], parameter["schema"]["type"]) == ("number", "integer")


def test_a_stream_is_a_dependency_with_yield(client):
    assert client.get("/first?from_=1").json() == 0

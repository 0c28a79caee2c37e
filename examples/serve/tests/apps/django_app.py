"""The routes of `test_frameworks.py` in Django, on its ASGI handler."""

import asyncio
import hashlib

import django
from common import Failure, around, chunks, chunks_and_failure, endless, finish, gate, numbers
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "ERROR"}},
}
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of a test", LOGGING=LOGGING)
django.setup()
running = set()


async def upload(request):
    length, sha256 = 0, hashlib.sha256()
    while chunk := request.read(64 * 1024):
        length += len(chunk)
        sha256.update(chunk)
    return JsonResponse({"length": length, "sha256": sha256.hexdigest()})


async def form(request):
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "length": len(file.read()), "title": request.POST["title"]})


async def stream(request):
    return StreamingHttpResponse(chunks(int(request.GET["count"])))


async def events(request):
    return StreamingHttpResponse(numbers(request.GET["name"]), content_type="text/event-stream")


async def background(request):
    task = asyncio.create_task(finish(request.GET["name"]))
    running.add(task)
    task.add_done_callback(running.discard)
    return HttpResponse("begun")


async def fail(request):
    raise Failure(request.GET["name"])


async def fail_late(request):
    return StreamingHttpResponse(chunks_and_failure(request.GET["name"]))


async def leave(request):
    """Django cancels a view whose client goes."""
    name = request.GET["name"]
    gate(f"entered-{name}").set()
    try:
        await asyncio.Event().wait()
    finally:
        gate(f"left-{name}").set()


async def leave_stream(request):
    return StreamingHttpResponse(endless(request.GET["name"]))


urlpatterns = [
    path("upload", upload),
    path("form", form),
    path("stream", stream),
    path("events", events),
    path("background", background),
    path("fail", fail),
    path("fail-late", fail_late),
    path("leave", leave),
    path("leave-stream", leave_stream),
]
application = around(get_asgi_application())

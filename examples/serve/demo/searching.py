"""A page that searches Python's standard library while one watches. Starlette, and a Rust stream of `scan`."""

import asyncio
import json
import sysconfig
import weakref
from pathlib import Path

import scan
from starlette.applications import Starlette
from starlette.responses import FileResponse, StreamingResponse
from starlette.routing import Route

# The directories of installed packages are inside that of the standard library.
SKIP = frozenset({"site-packages", "dist-packages"})
# The page shows so many matches, and counts the others.
SHOWN = 2000
# Seconds between two events.
PACE = 0.1


def event(name, data):
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


class Searches:
    """The searches below a directory, for pages."""

    def __init__(self, root):
        self.root = Path(root)
        # A search is running while something refers to its progress.
        self.running = weakref.WeakSet()

    async def respond(self, request):
        events = self.events(request.query_params.get("pattern", ""))
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def events(self, pattern):
        """A page that leaves ends this, and the end of the block stops the search."""
        try:
            scanning = scan.scan(self.root, pattern, suffix=".py", skip=SKIP)
        except ValueError as error:
            yield event("invalid", str(error))
            return
        self.running.add(scanning.progress)
        found = []
        async with scanning:
            collecting = asyncio.create_task(self.collect(scanning, found))
            try:
                while not collecting.done():
                    await asyncio.wait([collecting], timeout=PACE)
                    news = event("news", {**self.progress(scanning), "matches": found})
                    # More may be found before the client takes this.
                    found.clear()
                    yield news
                # An exception of the search is one of the response.
                await collecting
                yield event("end", self.progress(scanning))
            finally:
                collecting.cancel()

    async def collect(self, scanning, found):
        shown = 0
        async for match in scanning:
            if shown < SHOWN:
                shown += 1
                file = str(match.path.relative_to(self.root))
                found.append({"file": file, "line": match.line, "text": match.text[:400]})

    def progress(self, scanning):
        progress = scanning.progress
        return {"done": progress.files_done, "files": progress.files_found, "count": progress.matches}


def make(root):
    searches = Searches(root)

    async def page(request):
        return FileResponse(Path(__file__).with_name("page.html"))

    application = Starlette(routes=[Route("/", page), Route("/search", searches.respond)])
    application.state.searches = searches
    return application


application = make(sysconfig.get_path("stdlib"))

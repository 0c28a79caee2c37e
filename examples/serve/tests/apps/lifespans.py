"""Applications with a start and an end."""

from common import around, respond


def with_lifespan(lifespan):
    @around
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
        else:
            # A request has a copy of the state, and the objects in it are the same.
            scope["state"]["own"] = True
            scope["state"].get("requests", []).append(1)
            await respond(send, repr(scope["state"]).encode())

    return application


@with_lifespan
async def whole(scope, receive, send):
    print(await receive(), sorted(scope), flush=True)
    scope["state"]["requests"] = []
    await send({"type": "lifespan.startup.complete"})
    print(await receive(), len(scope["state"]["requests"]), "own" in scope["state"], flush=True)
    await send({"type": "lifespan.shutdown.complete"})


@with_lifespan
async def fails_to_start(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


@with_lifespan
async def fails_to_end(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "no flush"})


@with_lifespan
async def raises(scope, receive, send):
    raise LookupError("from the lifespan")


@with_lifespan
async def raises_at_the_end(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise LookupError("from the lifespan")


@with_lifespan
async def returns(scope, receive, send):
    pass


@with_lifespan
async def answers_out_of_order(scope, receive, send):
    try:
        await send({"type": "lifespan.shutdown.complete"})
    except RuntimeError as error:
        print(error, flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

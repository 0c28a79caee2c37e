import asyncio
import threading


def loop_thread(loop):
    return threading.Thread(target=run, args=(loop,), name="pyo3-asyncio-background", daemon=True)


def run(loop):
    asyncio.set_event_loop(loop)
    try:
        while True:
            try:
                loop.run_forever()
                break
            except (KeyboardInterrupt, SystemExit):
                # A callback has raised it. It ends the thread that waits for the callback, and not the other callbacks.
                pass
        loop.run_until_complete(end())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def end():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    await asyncio.get_running_loop().shutdown_asyncgens()

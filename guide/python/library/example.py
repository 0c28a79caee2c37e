import asyncio


# Sleep for 1 second
async def py_sleep():
    await asyncio.sleep(1)

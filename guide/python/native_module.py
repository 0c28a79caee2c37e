import asyncio

from my_async_module import rust_sleep


async def main():
    await rust_sleep()


# should sleep for 1s
asyncio.run(main())

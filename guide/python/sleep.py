# The guide leaves this program to its reader: it awaits every function of my_mod on the chosen loop.
import asyncio
import sys

import my_mod


async def main():
    functions = [my_mod.sleep, getattr(my_mod, "wrap_sleep", my_mod.sleep)]
    assert await asyncio.gather(*[function() for function in functions]) == [None, None]


if sys.argv[1:] == ["uvloop"]:
    import uvloop

    uvloop.install()
asyncio.run(main())

"""Checks the generated stubs of the exported functions. A type checker reads this file; it never runs."""

from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any

from pyo3_asyncio_pytests import Gate
from pyo3_asyncio_pytests.tokio import (
    Counter,
    Empty,
    Shared,
    UpTo,
    add,
    add_now,
    countdown,
    countdown_now,
    everything,
    inline,
    nothing,
    nothing_or_error,
    nothing_now,
    only,
    only_now,
    reject,
    reject_now,
    rejecting,
    reply,
    ticks,
)
from typing_extensions import assert_type


async def functions() -> None:
    coroutine: Coroutine[Any, Any, int] = add(1)
    assert_type(await coroutine, int)
    assert_type(await reject("text"), int)
    assert_type(await reply("text"), str)
    assert_type(await inline.declared(), str)
    assert_type((await everything(1, two=2))[2], "dict[Any, Any] | None")
    await nothing()
    # An unused `ignore` is itself an error.
    add(1)  # type: ignore[unused-coroutine]
    await add("one")  # type: ignore[arg-type]
    await add(a=1)  # type: ignore[call-arg]
    add(1) + 1  # type: ignore[operator]
    returned = await nothing()  # type: ignore[func-returns-value]
    returned = await nothing_or_error(False)  # type: ignore[func-returns-value]


async def methods() -> None:
    assert_type(await Shared.connect("name"), Shared)
    assert_type(await Shared.double(1), float)
    shared = Shared("name")
    assert_type(await shared.greet(), str)
    assert_type(await shared(1), int)
    assert_type(await Counter().read(Gate()), int)
    async with shared as entered:
        assert_type(entered, Shared)
    async for number in UpTo(3):
        assert_type(number, int)
    assert_type([number async for number in Empty()], "list[int]")
    for number in Empty():  # type: ignore[attr-defined]
        pass


async def streams() -> None:
    generator: AsyncGenerator[int, None] = countdown(3)
    assert_type([number async for number in generator], "list[int]")
    async for text in rejecting("text", soon=False):
        assert_type(text, str)
    assert_type([tick async for tick in ticks(1)], "list[None]")
    assert_type(await only("object").__anext__(), object)
    shared = Shared("name")
    assert_type(shared.some_letters(Gate()), AsyncGenerator[str, None])
    async for name in shared:
        assert_type(name, str)
    assert_type([number async for number in Shared.of([1, 2])], "list[int]")
    await generator.asend(1)  # type: ignore[arg-type]
    await generator  # type: ignore[misc]
    countdown("three")  # type: ignore[arg-type]
    for number in countdown(3):  # type: ignore[attr-defined]
        pass


def blocking() -> None:
    assert_type(add_now(1), int)
    assert_type(reject_now("text"), int)
    assert_type(inline.declared_now(), str)
    assert_type(Shared.connect_now("name"), Shared)
    assert_type(Shared.double_now(1), float)
    assert_type(Counter().read_blocking(Gate()), int)
    shared = Shared("name")
    assert_type(shared.greet_now(), str)
    with shared as entered:
        assert_type(entered, Shared)
    generator: Generator[int, None, None] = countdown_now(3)
    assert_type(list(generator), "list[int]")
    generator.close()
    assert_type(next(only_now("object")), object)
    assert_type(list(shared.letters_now()), "list[str]")
    assert_type(list(UpTo(3)), "list[int]")
    assert_type(list(shared), "list[str]")
    add_now("one")  # type: ignore[arg-type]
    returned = nothing_now()  # type: ignore[func-returns-value]

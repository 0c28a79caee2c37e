"""What a Rust future calls and awaits in Python may share one context: https://github.com/sparckles/Robyn/issues/1380"""

import asyncio
import contextvars

import pytest

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


async def async_set(value="set"):
    await asyncio.sleep(0)
    VARIABLE.set(value)


async def async_get():
    await asyncio.sleep(0)
    return VARIABLE.get()


class Get:
    """An awaitable that is no coroutine."""

    def __await__(self):
        return async_get().__await__()


async def yield_set():
    VARIABLE.set("set")
    yield


async def yield_get():
    await asyncio.sleep(0)
    yield VARIABLE.get()


SETTERS = {
    "call_soon": lambda: VARIABLE.set("set") and None,
    "run_coroutine": async_set,
    "into_future": async_set,
    "into_stream": yield_set,
    "run_async_generator": yield_set,
}
GETTERS = {
    "call_soon": VARIABLE.get,
    "run_coroutine": async_get,
    "into_future": Get,
    "into_stream": yield_get,
    "run_async_generator": yield_get,
}


@pytest.fixture(params=["future", "coroutine", "exported"])
def call_hooks(request, rust):
    return {
        "future": lambda hooks: rust.call_hooks(hooks, share_context=True),
        "coroutine": lambda hooks: rust.call_hooks(hooks, share_context=True, lazy=True),
        "exported": lambda hooks: rust.exported_call_hooks(hooks),
    }[request.param]


@pytest.mark.parametrize("getter", GETTERS)
@pytest.mark.parametrize("setter", SETTERS)
def test_a_call_sees_what_the_one_before_has_set(run, rust, call_hooks, setter, getter):
    async def main():
        VARIABLE.set("of the caller")
        hooks = [(getter, GETTERS[getter]), (setter, SETTERS[setter]), (getter, GETTERS[getter])]
        before, _, after = await call_hooks(hooks)
        return before, after, VARIABLE.get()

    # The context is a copy of the caller's.
    assert run(main()) == ("of the caller", "set", "of the caller")


@pytest.mark.parametrize("setter", SETTERS)
def test_without_sharing_each_call_has_a_copy(run, rust, setter):
    async def main():
        hooks = [(setter, SETTERS[setter]), ("run_coroutine", async_get)]
        return (await rust.call_hooks(hooks, share_context=False))[1]

    assert run(main()) == "default"


def test_a_given_context_is_the_very_one(run, rust):
    context = contextvars.copy_context()

    async def main():
        await rust.call_hooks([("run_coroutine", async_set)], share_context=True, context=context)

    run(main())
    assert context[VARIABLE] == "set"


def test_tasks_that_share_a_context_take_turns(run, rust):
    async def one():
        VARIABLE.set("one")
        ready.set()
        await seen.wait()
        return VARIABLE.get()

    async def other():
        await ready.wait()
        before = VARIABLE.get()
        VARIABLE.set("other")
        seen.set()
        return before

    async def main():
        nonlocal ready, seen
        ready, seen = asyncio.Event(), asyncio.Event()
        return await rust.call_both(("run_coroutine", one), ("run_coroutine", other))

    ready = seen = None
    assert run(main()) == ("other", "one")


def test_what_a_shared_call_calls_in_turn_shares_nothing_more(run, rust):
    async def nested():
        await rust.call_hooks([("run_coroutine", lambda: async_set("nested"))], share_context=False)
        return VARIABLE.get()

    async def main():
        return await rust.call_hooks([("run_coroutine", async_set), ("run_coroutine", nested)], share_context=True)

    assert run(main()) == [None, "set"]


def test_errors_and_cancellations_pass_through_a_shared_context(run, rust):
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("expected")

    async def wait():
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            VARIABLE.set("cleaned up")
            cleaned.append(VARIABLE.get())
            raise

    async def main():
        nonlocal started
        started = asyncio.Event()
        with pytest.raises(ValueError, match="expected"):
            await rust.call_hooks([("run_coroutine", fail)], share_context=True)
        future = rust.call_hooks([("run_coroutine", async_set), ("run_coroutine", wait)], share_context=True)
        await started.wait()
        future.cancel()
        while not cleaned:
            await asyncio.sleep(0.001)

    started, cleaned = None, []
    run(main())
    assert cleaned == ["cleaned up"]


@pytest.mark.parametrize("way", ["call_soon", "run_coroutine", "into_future"])
def test_a_context_that_the_loop_itself_runs_in_is_refused(loop, rust, way):
    """A task in it would never make a step, as `create_task(…, context=…)` shows. On Python 3.9 and 3.10 too."""

    async def main():
        with pytest.raises(RuntimeError, match="cannot enter context"):
            await rust.call_hooks([(way, GETTERS[way])], share_context=True, context=context)

    context = contextvars.copy_context()
    context.run(loop.run_until_complete, main())


def test_an_async_generator_is_told_how_to_share(rust):
    with pytest.raises(RuntimeError, match="TaskLocals::share_context"):
        rust.holding("stream", rust.Drops(), rust.Gate(), share_context=True)

"""`block_on`: synchronous functions that wait for Rust. What signals do to them is in `test_signals.py`."""

import asyncio
import threading

import pytest


def test_awaiting_the_loop_that_stands_still_is_an_error_and_the_loop_goes_on(run, rust):
    async def main():
        for awaitable in [asyncio.sleep(0, "for ever"), rust.never(), asyncio.ensure_future(asyncio.sleep(0))]:
            with pytest.raises(RuntimeError, match="future_into_py"):
                rust.block_on_python(awaitable)
        return await rust.turns(3, "goes on")

    assert run(main()) == "goes on"


def test_what_a_task_awaits_on_the_loop_that_stands_still_comes_when_the_loop_goes_on(run, rust):
    async def main():
        for number in range(20):
            tasks = []

            def start():
                tasks.append(rust.into_future(asyncio.sleep(0, number)).wait())
                # Time for the runtime to poll it.
                rust.block_on_turns(1000, None)

            rust.block_on_call(start)
            assert await tasks[0] == number

    run(main())


def test_many_threads_wait_at_once_while_the_loop_runs(run, rust):
    async def main():
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(*(loop.run_in_executor(None, rust.block_on_turns, 50, number) for number in range(20)))
        assert results == list(range(20))

    run(main())


def test_a_wait_in_a_coroutine_lets_other_threads_work(run, rust):
    async def main():
        thread = threading.Thread(target=seen.append, args=("seen",))
        rust.block_on_call(lambda: (thread.start(), thread.join()))
        return await rust.turns(1, "goes on")

    seen = []
    assert run(main()) == "goes on"
    assert seen == ["seen"]

"""`block_on`: synchronous functions that wait for Rust. `test_signals.py` covers signals."""

import asyncio
import threading

import pytest


def test_block_on_refuses_to_await_the_loop_that_it_blocks(run, rust):
    async def main():
        for awaitable in [asyncio.sleep(0, "for ever"), rust.never(), asyncio.ensure_future(asyncio.sleep(0))]:
            with pytest.raises(RuntimeError, match="future_into_py"):
                rust.block_on_python(awaitable)
        return await rust.turns(3, "goes on")

    assert run(main()) == "goes on"


def test_a_task_started_inside_block_on_finishes_after_the_loop_resumes(run, rust):
    async def main():
        for number in range(20):
            tasks = []

            def start():
                tasks.append(rust.into_future(asyncio.sleep(0, number)).wait())
                # Give the runtime time to poll it.
                rust.block_on_turns(1000, None)

            rust.block_on_call(start)
            assert await tasks[0] == number

    run(main())


def test_many_threads_block_at_once_while_the_loop_runs(run, rust):
    async def main():
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(*(loop.run_in_executor(None, rust.block_on_turns, 50, number) for number in range(20)))
        assert results == list(range(20))

    run(main())


def test_block_on_in_a_coroutine_lets_other_python_threads_run(run, rust):
    async def main():
        thread = threading.Thread(target=seen.append, args=("seen",))
        rust.block_on_call(lambda: (thread.start(), thread.join()))
        return await rust.turns(1, "goes on")

    seen = []
    assert run(main()) == "goes on"
    assert seen == ["seen"]

"""A Rust task that Python started has its loop and its context in everything that it awaits."""

import asyncio
import contextvars
import threading

import pytest

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


async def read():
    await asyncio.sleep(0)
    return VARIABLE.get()


def test_a_coroutine_finds_the_running_loop(loop, run, rust):
    async def main():
        assert rust.running_loop() is loop
        assert rust.current_loop() is loop

    run(main())


def test_without_a_loop_there_are_no_locals(rust):
    with pytest.raises(RuntimeError, match="no running event loop"):
        rust.running_loop()
    with pytest.raises(RuntimeError, match="no running event loop.*_with_loop"):
        rust.current_loop()
    with pytest.raises(RuntimeError, match="no running event loop.*_with_loop"):
        rust.current_context()


def test_a_rust_future_sees_its_loop(loop, run, rust):
    async def main():
        return await rust.call_inside(rust.current_loop)

    assert run(main()) is loop


def test_a_rust_future_runs_on_a_thread_that_runs_no_loop(run, rust):
    async def main():
        with pytest.raises(RuntimeError, match="no running event loop"):
            await rust.call_inside(rust.running_loop)
        assert await rust.call_inside(threading.get_ident) != threading.get_ident()

    run(main())


def test_a_rust_future_sees_the_context_of_its_caller(run, rust):
    async def main():
        VARIABLE.set("of the caller")
        future = rust.call_inside(rust.current_context)
        VARIABLE.set("later")
        return (await future)[VARIABLE]

    assert run(main()) == "of the caller"


def test_a_spawned_task_has_no_locals(run, rust):
    async def main():
        with pytest.raises(RuntimeError, match="no running event loop.*scope"):
            await rust.call_in_bare_task(rust.current_loop)

    run(main())


def test_a_poll_leaves_no_locals_on_its_thread(run, rust):
    async def main():
        for _ in range(20):
            assert await rust.call_inside(rust.current_loop) is asyncio.get_running_loop()
            with pytest.raises(RuntimeError, match="no running event loop"):
                await rust.call_in_bare_task(rust.current_loop)

    run(main())


def test_a_panic_leaves_no_locals_on_its_thread(run, rust, capfd):
    async def main():
        gates = [rust.Gate() for _ in range(20)]
        futures = [gate.wait() for gate in gates]
        for gate in gates:
            gate.panic("expected")
        await asyncio.gather(*futures, return_exceptions=True)
        for _ in range(20):
            with pytest.raises(RuntimeError, match="no running event loop"):
                await rust.call_in_bare_task(rust.current_loop)

    run(main())
    assert "expected" in capfd.readouterr().err


def test_loops_in_several_threads_are_not_mixed_up(new_loop, rust):
    def work():
        loop = new_loop()

        async def main():
            for _ in range(100):
                assert await rust.call_inside(rust.current_loop) is loop
                assert await rust.await_inside(where) is loop

        async def where():
            return asyncio.get_running_loop()

        try:
            loop.run_until_complete(main())
        except BaseException as error:
            failures.append(error)
        loop.close()

    failures = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_guides_nested_functions_sleep(run, rust):
    async def main():
        await asyncio.gather(*(rust.sleep(0.001) for _ in range(10)), *(rust.wrap_sleep(0.001) for _ in range(10)))

    run(main())


def test_an_exported_function_called_from_rust_finds_the_loop_at_any_depth(loop, run, rust):
    async def main():
        function = rust.current_loop
        for _ in range(10):
            function = (lambda inner: lambda: rust.call_inside(inner))(function)
        # Each level returns a future of the next one.
        future = function()
        while asyncio.isfuture(future):
            future = await future
        return future

    assert run(main()) is loop


def test_rust_awaits_nested_exported_functions_at_any_depth(run, rust):
    async def main():
        def nested(depth):
            return rust.turns(1, "deep") if depth == 0 else rust.await_inside(lambda: nested(depth - 1))

        return await nested(10)

    assert run(main()) == "deep"


def test_the_context_passes_through_nested_exported_functions(run, rust):
    async def main():
        VARIABLE.set("of the caller")
        future = rust.await_inside(lambda: rust.await_inside(lambda: rust.await_inside(read)))
        VARIABLE.set("later")
        return await future

    assert run(main()) == "of the caller"


def test_cancelling_the_outermost_future_ends_every_level(run, rust):
    async def main():
        gate, started = rust.Gate(), asyncio.Event()

        async def innermost():
            started.set()
            await gate.wait()

        future = rust.await_inside(lambda: rust.await_inside(innermost))
        await started.wait()
        await asyncio.sleep(0)
        future.cancel()
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await rust.turns(1, None)
        gate.wait_until_dropped()

    run(main())


def test_scope_gives_a_plain_thread_a_loop_and_a_context(loop, run, rust):
    context = contextvars.copy_context()
    context.run(VARIABLE.set, "given")

    async def where():
        return asyncio.get_running_loop(), VARIABLE.get()

    async def main():
        return await loop.run_in_executor(None, lambda: rust.run_in_scope(loop, where, context))

    found, value = run(main())
    assert found is loop
    assert value == "given"


def test_scope_without_a_context_works(loop, run, rust):
    async def main():
        return await loop.run_in_executor(None, lambda: rust.run_in_scope(loop, read))

    assert run(main()) == "default"


def test_a_future_made_in_a_scope_belongs_to_its_loop(loop, run, rust):
    async def main():
        return await loop.run_in_executor(None, lambda: rust.run_in_scope(loop, lambda: rust.turns(1, "value")))

    assert run(main()) == "value"

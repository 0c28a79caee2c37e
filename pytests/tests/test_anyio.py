"""anyio accepts a Rust coroutine wherever it accepts an `async def`."""

import asyncio
import inspect

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from conftest import LOOPS


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    """The backend and its options, for anyio's pytest plugin and for its functions that start a loop."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
def anyio_run(anyio_backend):
    backend, options = anyio_backend
    return lambda function, *args: anyio.run(function, *args, backend=backend, backend_options=options)


@pytest.fixture
def portal(anyio_backend):
    """A portal to a loop that anyio runs in another thread."""
    with anyio.from_thread.start_blocking_portal(*anyio_backend) as portal:
        yield portal


def test_anyio_runs_a_rust_function(anyio_run, rust):
    assert anyio_run(rust.lazy_turns, 3, "value") == "value"
    assert anyio_run(rust.tokio.add, 1) == 6
    gate = rust.Gate()
    gate.fail(LookupError("from Rust"))
    with pytest.raises(LookupError, match="from Rust"):
        anyio_run(gate.coroutine)


def test_a_task_group_runs_and_cancels_a_rust_function(run, rust):
    async def main():
        gate, never = rust.Gate(), rust.Gate()
        async with anyio.create_task_group() as group:
            group.start_soon(gate.coroutine)
            group.start_soon(never.coroutine, name="by name")
            await anyio.sleep(0)
            gate.open(None)
            gate.wait_until_dropped()
            group.cancel_scope.cancel()
        never.wait_until_dropped()

    run(main())


def test_an_error_from_rust_ends_a_task_group(run, rust):
    async def main():
        never = rust.Gate()
        with pytest.raises(Exception) as caught:
            async with anyio.create_task_group() as group:
                group.start_soon(never.coroutine)
                group.start_soon(rust.lazy_call, lambda: 1 / 0)
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        never.wait_until_dropped()

    run(main())


def test_an_expired_cancel_scope_drops_the_rust_future(run, rust):
    async def main():
        gate = rust.Gate()
        with anyio.move_on_after(0) as scope:
            await gate.coroutine()
        assert scope.cancelled_caught
        gate.wait_until_dropped()
        gate = rust.Gate()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0):
                await gate.coroutine()
        gate.wait_until_dropped()
        # The task of `main` is not cancelled.
        assert await rust.lazy_turns(3, "value") == "value"

    run(main())


def test_a_shielded_scope_protects_the_rust_future_from_cancellation(loop, run, rust):
    async def main():
        gate, values = rust.Gate(), []
        with anyio.CancelScope() as outer:
            with anyio.CancelScope(shield=True):
                coroutine = gate.coroutine()
                loop.call_soon(outer.cancel)
                loop.call_soon(gate.open, "value")
                values.append(await coroutine)
            never = rust.Gate()
            await never.coroutine()
        assert values == ["value"] and outer.cancelled_caught

    run(main())


def test_an_anyio_worker_thread_runs_a_rust_function_on_the_loop(run, rust):
    async def main():
        gate = rust.Gate()
        gate.fail(LookupError("from Rust"))

        def work():
            with pytest.raises(LookupError, match="from Rust"):
                anyio.from_thread.run(gate.coroutine)
            return anyio.from_thread.run(rust.lazy_turns, 3, "value")

        assert await anyio.to_thread.run_sync(work) == "value"

    run(main())


def test_a_portal_runs_and_cancels_a_rust_function(portal, rust):
    assert portal.call(rust.lazy_turns, 3, "value") == "value"
    gate, made = rust.Gate(), []

    def make():
        made.append(gate.coroutine())
        return made[0]

    future = portal.start_task_soon(make)

    async def until_it_waits():
        while not made or inspect.getcoroutinestate(made[0]) != inspect.CORO_SUSPENDED:
            await asyncio.sleep(0)

    portal.call(until_it_waits)
    assert future.cancel()
    gate.wait_until_dropped()


@pytest.fixture
async def rust_value(anyio_backend, rust):
    return await rust.lazy_turns(3, "value")


@pytest.mark.anyio
async def test_the_anyio_pytest_plugin_runs_tests_that_await_rust(rust, rust_value):
    assert rust_value == "value"
    assert await rust.lazy_turns(3, "another") == "another"

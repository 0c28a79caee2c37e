"""The runtime shuts down on request, and starts again."""

import asyncio
import gc
import textwrap
import threading

import pytest
from conftest import eventually, threads
from test_processes import finished, program

PATIENCE = 30


@pytest.fixture(autouse=True)
def runs_again(rust):
    """Starts a runtime again for the next test."""
    yield
    rust.workers()


def test_a_shutdown_makes_pending_futures_raise_runtime_stopped(rust, run):
    async def main():
        futures = [rust.never() for _ in range(100)]
        tasks = [asyncio.ensure_future(wait(future)) for future in futures]
        await rust.turns(1, None)
        assert rust.shutdown(PATIENCE)
        for result in await asyncio.gather(*futures, *tasks, return_exceptions=True):
            assert isinstance(result, rust.RuntimeStopped)
            assert "shut down" in str(result)

    async def wait(future):
        await future

    run(main())


def test_every_rust_future_is_dropped_when_the_shutdown_returns(rust, run):
    async def main():
        gates = [rust.Gate() for _ in range(100)]
        futures = [gate.wait() for gate in gates]
        await rust.turns(1, None)
        assert rust.shutdown(PATIENCE)
        assert [gate.open(None) for gate in gates] == [False] * 100
        await asyncio.wait(futures)
        assert all(isinstance(future.exception(), rust.RuntimeStopped) for future in futures)

    run(main())


def test_futures_started_just_before_a_shutdown_do_not_start_another_runtime(rust, run):
    async def main():
        for _ in range(50):
            gates = [rust.Gate() for _ in range(10)]
            futures = [gate.wait() for gate in gates]
            assert rust.shutdown(PATIENCE)
            assert [gate.open(None) for gate in gates] == [False] * 10
            await asyncio.wait(futures)
            assert all(isinstance(future.exception(), rust.RuntimeStopped) for future in futures)

    run(main())


def test_a_shutdown_cancels_the_python_tasks_that_rust_awaits(rust, run):
    async def main():
        started, ended = asyncio.Event(), asyncio.Event()

        async def sleep():
            started.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

        future = rust.into_future(sleep()).wait()
        await started.wait()
        assert rust.shutdown(PATIENCE)
        await ended.wait()
        with pytest.raises(rust.RuntimeStopped):
            await future

    run(main())


def test_dropping_a_local_future_does_not_start_the_runtime_again(new_loop, rust):
    loop = new_loop()

    async def main():
        return rust.local_nap(3600, int)

    future = loop.run_until_complete(main())
    assert rust.shutdown(PATIENCE)
    loop.close()
    assert not future.done()
    # It raises an error if a runtime runs.
    rust.init_runtime(rust.WORKERS)


def test_the_runtime_restarts_when_it_is_used(rust, run):
    async def main():
        for turn in range(20):
            assert await rust.turns(3, turn) == turn
            await rust.nap(0.0001)
            assert rust.shutdown(PATIENCE)

    run(main())


def test_a_shutdown_ends_the_threads_of_the_runtime(rust, run):
    async def main():
        await rust.turns(3, None)
        before = threads()
        assert rust.shutdown(PATIENCE)
        assert eventually(lambda: threads() <= before - rust.WORKERS) or not before

    run(main())


def test_a_poll_that_needs_the_interpreter_does_not_block_a_shutdown(rust, run):
    """https://github.com/emmett-framework/granian/pull/876"""

    async def main():
        called = asyncio.Event()
        loop = asyncio.get_running_loop()
        future = rust.call_for_ever(lambda: loop.call_soon_threadsafe(called.set))
        await called.wait()
        assert rust.shutdown(PATIENCE)
        with pytest.raises(rust.RuntimeStopped):
            await future

    run(main())


def test_a_shutdown_that_times_out_returns_false_and_continues(rust, run):
    async def main():
        hold = rust.Hold()
        assert not rust.shutdown(0.01)
        assert await rust.turns(3, "a new runtime") == "a new runtime"
        hold.let_go()
        hold.wait_until_dropped()
        with pytest.raises(rust.RuntimeStopped):
            await hold.future

    run(main())


def test_a_shutdown_called_in_a_poll_does_not_wait_for_that_poll(rust, run):
    async def main():
        ended = []

        def shut_down():
            if not ended:
                ended.append(rust.shutdown(0.01))

        future = rust.call_for_ever(shut_down)
        with pytest.raises(rust.RuntimeStopped):
            await future
        assert ended == [False]

    run(main())


def test_every_await_ends_while_another_thread_shuts_the_runtime_down(rust):
    outcomes = []

    async def use():
        for _ in range(50):
            try:
                outcomes.append(await rust.turns(2, "done"))
            except rust.RuntimeStopped:
                outcomes.append("stopped")

    users = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(3)]
    for user in users:
        user.start()
    while any(user.is_alive() for user in users):
        rust.shutdown(PATIENCE)
    for user in users:
        user.join()
    assert len(outcomes) == 150
    assert set(outcomes) <= {"done", "stopped"}
    gc.collect()


def test_a_new_builder_is_accepted_after_a_shutdown_and_kept():
    ended = finished(
        program(
            """
            async def main():
                await rust.turns(1, None)
                try:
                    rust.init_runtime(3)
                except RuntimeError as error:
                    assert "already running" in str(error), error
                else:
                    assert False, "the runtime is in use"
                for _ in range(2):
                    assert rust.shutdown(30)
                    rust.init_runtime(3)
                    assert await rust.turns(1, "three") == "three"
                    assert rust.workers() == 3
                assert rust.shutdown(30)
                assert rust.workers() == 3
            """,
            "asyncio",
        )
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def ended_late(body):
    """Runs a program that calls `late` at the exit, after the bridge has ended: `late` is registered before the bridge is used."""
    ended = finished(program("@atexit.register\ndef at_exit():\n    late()\n" + textwrap.dedent(body), "asyncio"))
    return ended.returncode, ended.stdout, ended.stderr


def test_late_atexit_callbacks_can_use_rust():
    assert ended_late(
        """
        def late():
            assert rust.block_on_turns(3, "waited") == "waited"
            print(asyncio.run(use()))

        async def use():
            await rust.nap(0.0001)
            return await rust.into_future(asyncio.sleep(0, await rust.turns(3, "awaited"))).wait()

        async def main():
            await use()
        """
    ) == (0, "awaited\n", "")


def test_futures_in_flight_continue_while_late_atexit_callbacks_run():
    assert ended_late(
        """
        loop = asyncio.new_event_loop()

        async def begin():
            global gate, old, task
            gate = rust.Gate()
            old, task = gate.wait(), rust.into_future(asyncio.sleep(0.01, "slept")).wait()
            await rust.turns(1, None)

        async def wait():
            gate.open("opened")
            print(await old, await task)

        def late():
            loop.run_until_complete(wait())
            loop.close()

        loop.run_until_complete(begin())

        async def main():
            pass
        """
    ) == (0, "opened slept\n", "")


def test_a_program_can_use_rust_after_it_calls_the_atexit_callbacks():
    assert ended_late(
        """
        def late():
            pass

        async def main():
            await rust.turns(3, None)
            atexit._run_exitfuncs()
            assert await rust.turns(3, "used") == "used"
            assert await rust.into_future(asyncio.sleep(0, "slept")).wait() == "slept"
            print("went on")
        """
    ) == (0, "went on\n", "")


def test_rust_ends_with_the_program_that_called_the_atexit_callbacks_before():
    assert ended_late(
        """
        import builtins, os

        class Last:
            def __init__(self, gate):
                self.gate = gate

            def __del__(self, write=os.write):
                write(1, b"in flight\\n" if self.gate.open(None) else b"ended\\n")

        def late():
            pass

        async def main():
            global future
            await rust.turns(3, None)
            atexit._run_exitfuncs()
            gate = rust.Gate()
            future = gate.wait()
            await rust.turns(3, None)
            builtins.kept = Last(gate)
        """
    ) == (0, "ended\n", "")


LATE = {
    "uses Rust": ("rust.block_on_turns(3, None)", "pass"),
    "waits for what was stopped": ("continued.wait()", "pass"),
    "does both": ("rust.block_on_turns(3, None); continued.wait()", "pass"),
    "leaves something that uses Rust as the interpreter is finalized": ("pass", "assert use(3, None) is None; write(1, b'used last\\n')"),
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("steps", ["await rust.turns(1, None)", "rust.block_on_turns(1, None)"])
def test_a_daemon_thread_that_uses_rust_again_during_the_exit_is_stopped_again(late, steps):
    """A thread that runs Python code with Rust frames on its stack would abort the process during finalization."""
    statement, last = LATE[late]
    body = f"""
        import builtins, os
        continued = threading.Event()

        class Last:
            def __del__(self, use=rust.block_on_turns, write=os.write):
                {last}
        builtins.kept = Last()

        def late():
            continued.clear()
            {statement}

        async def use_again_and_again():
            while True:
                try:
                    {steps}
                except rust.RuntimeStopped:
                    pass
                continued.set()
                for _ in range(100_000):
                    pass

        async def main():
            for _ in range(2):
                threading.Thread(target=lambda: asyncio.run(use_again_and_again()), daemon=True).start()
            rust.block_on_turns(1, None)
            await asyncio.get_running_loop().run_in_executor(None, continued.wait)
        """
    assert ended_late(body) == (0, "used last\n" if last != "pass" else "", "")

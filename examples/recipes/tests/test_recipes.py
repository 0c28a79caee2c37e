import asyncio
import contextvars
import threading

import pytest
import recipes

PATIENCE = 60


def test_a_thread_that_holds_the_lock_can_call_python_while_python_waits_for_the_lock():
    """https://github.com/temporalio/sdk-python/issues/1642"""
    prices, asked, answer = recipes.Prices(), threading.Event(), threading.Event()

    def ask(name):
        asked.set()
        assert answer.wait(PATIENCE)
        return 4.0

    prices.ask("tea", ask)
    assert asked.wait(PATIENCE)
    answer.set()
    # Rust has the lock, and waits for the interpreter to go on in `ask`.
    assert prices.get("tea") == 4.0


def test_a_listener_is_called_on_the_loop_and_in_the_context_of_its_registration():
    """https://github.com/breez/spark-sdk/pull/666"""
    user = contextvars.ContextVar("user")
    seen = []

    async def main():
        done = asyncio.Event()

        async def on_event(event):
            await asyncio.sleep(0)
            seen.append((event, user.get(), asyncio.get_running_loop() is loop))
            if event == "last":
                done.set()

        loop = asyncio.get_running_loop()
        user.set("who registers")
        recipes.subscribe(["first", "last"], on_event)
        user.set("somebody else")
        await asyncio.wait_for(done.wait(), PATIENCE)

    asyncio.run(main())
    assert seen == [("first", "who registers", True), ("last", "who registers", True)]


def test_records_of_a_worker_reach_the_logging_of_python_in_order(caplog):
    """https://github.com/deedy5/primp/pull/141"""
    threads = set()

    def note(record):
        threads.add(threading.get_ident())
        return True

    async def main():
        recipes.log_to_python("warn")
        for number in range(100):
            await recipes.log_from_worker(str(number))

    caplog.handler.addFilter(note)
    asyncio.run(main())
    caplog.handler.removeFilter(note)
    assert [record.getMessage() for record in caplog.records] == [str(number) for number in range(100)]
    record = caplog.records[0]
    assert (record.name, record.levelname, record.filename) == ("recipes.logging", "WARNING", "logging.rs")
    assert threads == {threading.get_ident()}


def test_a_client_connects_and_closes_with_async_with():
    async def main():
        closed = asyncio.Event()

        async def serve(reader, writer):
            while line := await reader.readline():
                writer.write(line.upper())
            writer.close()
            closed.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(LookupError, match="of the block"):
            async with recipes.Client("127.0.0.1", port) as client:
                assert await client.ask("tea") == "TEA"
                raise LookupError("of the block")
        await asyncio.wait_for(closed.wait(), PATIENCE)
        with pytest.raises(RuntimeError, match="use it in `async with`"):
            await client.ask("tea")
        server.close()

    asyncio.run(main())


def test_a_time_out_of_python_drops_the_rust_future():
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(recipes.sleep(3600), 0.01)
        # Of the futures that sleep, only that of this call is left.
        while await recipes.fetch_within(PATIENCE, 0) > 0:
            await asyncio.sleep(0.001)

    asyncio.run(main())


def test_a_time_out_of_rust_is_a_timeout_error():
    async def main():
        assert await recipes.fetch_within(PATIENCE, 0.001) >= 0
        with pytest.raises(TimeoutError, match="nothing came within 10ms"):
            await recipes.fetch_within(0.01, 3600)

    asyncio.run(main())


def test_a_time_out_of_rust_cancels_the_python_coroutine():
    async def main():
        cancelled = asyncio.Event()

        async def stuck():
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async def answers():
            return "in time"

        assert await recipes.call_within(PATIENCE, answers) == "in time"
        with pytest.raises(TimeoutError, match="nothing came within 10ms"):
            await recipes.call_within(0.01, stuck)
        await asyncio.wait_for(cancelled.wait(), PATIENCE)

    asyncio.run(main())

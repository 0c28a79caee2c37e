"""Interrupts leave the loop, and nothing is lost with them."""

import asyncio

import pytest


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("interrupted", [0, 3, 9])
def test_an_interrupt_leaves_the_loop_and_later_outcomes_are_not_lost(loop, run, rust, kind, interrupted):
    async def start():
        gates = [rust.Gate() for _ in range(10)]

        async def waiter(number):
            value = await futures[number]
            if number == interrupted:
                raise kind(number)
            return value

        futures = [gate.wait() for gate in gates]
        tasks = [asyncio.ensure_future(waiter(number)) for number in range(10)]
        await asyncio.sleep(0)
        return gates, tasks

    gates, tasks = run(start())
    # The loop does not turn here, so one turn finds all ten.
    for number, gate in enumerate(gates):
        gate.open(number)
        gate.wait_until_dropped()

    with pytest.raises(kind) as caught:
        loop.run_forever()
    assert caught.value.args == (interrupted,)

    async def the_rest():
        done, pending = await asyncio.wait(tasks)
        return len(done), len(pending)

    assert run(the_rest()) == (10, 0)
    assert [task.result() for number, task in enumerate(tasks) if number != interrupted] == [
        number for number in range(10) if number != interrupted
    ]
    with pytest.raises(kind):
        tasks[interrupted].result()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_callback_leaves_the_loop(loop, run, rust, kind):
    def interrupt(future):
        raise kind("in a callback")

    async def start():
        gate = rust.Gate()
        future = gate.wait()
        future.add_done_callback(interrupt)
        return gate, future

    gate, future = run(start())
    gate.open(1)
    with pytest.raises(kind):
        loop.run_forever()
    assert run(future) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_rust_wakes_the_loop_after_many_interrupts(loop, run, rust, kind):
    """uvloop closes its handle of a descriptor when an interrupt leaves the descriptor's callback."""

    async def interrupted():
        await rust.turns(1, None)
        raise kind()

    async def undisturbed():
        return await rust.turns(5, "value")

    for _ in range(20):
        with pytest.raises(kind):
            run(interrupted())
        assert run(undisturbed()) == "value"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_from_rust_leaves_the_loop(loop, run, rust, kind):
    async def main():
        gate = rust.Gate()
        future = gate.wait()
        gate.fail(kind("from Rust"))
        await future

    with pytest.raises(kind):
        run(main())


def test_an_exception_in_a_woken_task_stays_in_that_task(run, rust):
    async def fails(number):
        await rust.turns(1, None)
        raise ValueError(number)

    async def main():
        results = await asyncio.gather(*(fails(number) for number in range(20)), return_exceptions=True)
        assert [result.args[0] for result in results] == list(range(20))

    run(main())


def test_a_woken_task_can_stop_the_loop(loop, rust):
    gate = rust.Gate()

    async def stops():
        await rust.turns(1, None)
        loop.stop()
        return await gate.wait()

    task = loop.create_task(stops())
    loop.run_forever()
    assert not task.done()
    gate.open("after the stop")
    assert loop.run_until_complete(task) == "after the stop"


def test_many_completions_do_not_starve_the_loop(loop, run, rust):
    """A loop still turns while Rust futures complete all the time."""

    async def main():
        turns, enough = 0, False

        def tick():
            nonlocal turns
            turns += 1
            if not enough:
                loop.call_soon(tick)

        loop.call_soon(tick)

        async def chain():
            for _ in range(1000):
                await rust.turns(0, None)

        await asyncio.gather(*(chain() for _ in range(10)))
        enough = True
        return turns

    assert run(main()) > 10

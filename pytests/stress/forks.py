"""Forks children during a round. Each uses the bridge anew."""

import asyncio
import os
import signal
import traceback

from operations import operation

# Seconds after which the system ends a hanging child.
CHILD_HANGS_AFTER = 60

if hasattr(os, "register_at_fork"):
    # Register this before the hooks of the bridge, which may hang.
    os.register_at_fork(after_in_child=lambda: signal.alarm(CHILD_HANGS_AFTER))


@operation(0.1)
async def fork(desk, choose):
    """Forks inside a running loop while other threads work. A helper thread waits for the child."""
    if not desk.workshop.forks:
        return
    ticket, count = desk.account.open("fork"), choose.randrange(1, 50)
    pid = os.fork()
    if pid == 0:
        be_child(desk.rust, desk.new_loop, count)

    def reap():
        _, status = os.waitpid(pid, 0)
        desk.close(ticket, f"status {status}", {"status 0"})

    desk.workshop.do(reap)


def be_child(rust, new_loop, count):
    """Runs the child and exits. It never returns to the code of the parent."""
    status = 1
    try:
        loop = new_loop()
        gate = loop.run_until_complete(use_everything(rust, count))
        loop.close()
        gate.wait_until_dropped()
        status = 0
    except BaseException:
        # The parent reports any output on standard error.
        traceback.print_exc()
    finally:
        os._exit(status)


async def use_everything(rust, count):
    async def python(number):
        return await rust.turns(1, number)

    futures = [rust.turns(number % 3, number) for number in range(count)]
    futures += [rust.into_future(python(number)).wait() for number in range(count)]
    futures += [rust.await_inside(lambda number=number: python(number)) for number in range(count)]
    assert await asyncio.gather(*futures) == [*range(count)] * 3
    await rust.nap(0.001)
    assert rust.tokio.call_back_now(lambda: python(count)) == count
    gate = rust.Gate()
    future = gate.wait()
    future.cancel()
    return gate

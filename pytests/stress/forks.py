"""Children that use the bridge afresh, forked in the middle of everything."""

import asyncio
import os
import signal
import traceback

from operations import operation

# Seconds after which a child that hangs is ended by the system.
CHILD_HANGS_AFTER = 60

if hasattr(os, "register_at_fork"):
    # Before the hooks of the bridge, which may be what hangs.
    os.register_at_fork(after_in_child=lambda: signal.alarm(CHILD_HANGS_AFTER))


@operation(0.1)
async def fork(desk, choose):
    """Inside of a running loop, with the other threads at work, while a helping thread waits for the child."""
    if not desk.workshop.forks:
        return
    ticket, count = desk.account.open("fork"), choose.randrange(1, 50)
    pid = os.fork()
    if pid == 0:
        be_child(desk.rust, type(desk.loop), count)

    def reap():
        _, status = os.waitpid(pid, 0)
        desk.close(ticket, f"status {status}", {"status 0"})

    desk.workshop.do(reap)


def be_child(rust, new_loop, count):
    """Never returns: what it would return to is the parent's."""
    status = 1
    try:
        loop = new_loop()
        loop.run_until_complete(use_everything(rust, count))
        loop.close()
        status = 0
    except BaseException:
        # The parent sees to it that nothing is written here.
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
    gate = rust.Gate()
    future = gate.wait()
    future.cancel()
    gate.wait_until_dropped()

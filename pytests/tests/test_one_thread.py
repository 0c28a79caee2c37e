"""A loop whose thread also runs the futures of tokio."""

import asyncio
import os
import socket
import subprocess
import sys
import threading

import pytest
from conftest import tokio_loop
from test_detach_on_cancel import KINDS, check, start_and_cancel
from test_processes import environment


@pytest.fixture
def loop():
    loop = tokio_loop()
    yield loop
    loop.close()


def run_program(program):
    ended = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def test_the_process_has_one_thread(rust):
    program = """
import asyncio, os, pyo3_asyncio_pytests as rust

async def main():
    assert await rust.turns(3, "value") == "value"
    await rust.nap(0.001)
    await asyncio.gather(*(rust.turns(3, None) for _ in range(10)))

loop = rust.new_event_loop()
loop.run_until_complete(main())
loop.close()
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""
    assert run_program(program) == (0, "1\n", "")


def test_a_rust_future_runs_on_the_loops_thread_and_sees_the_loop(loop, rust):
    async def main():
        assert await rust.call_inside(threading.get_ident) == threading.get_ident()
        assert await rust.call_inside(rust.running_loop) is loop

    loop.run_until_complete(main())


def test_python_that_never_waits_does_not_starve_rust(loop, rust):
    async def main():
        nap = rust.nap(0.001)
        while not nap.done():
            await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_rust_that_never_waits_does_not_starve_python(loop, rust):
    async def main():
        busy = rust.turns(1 << 62, None)
        reading, written = socket.socketpair()
        reading.setblocking(False)
        threading.Timer(0.001, written.send, [b"sent"]).start()
        with reading, written:
            assert await loop.sock_recv(reading, 4) == b"sent"
            await asyncio.sleep(0.001)
        assert not busy.done()
        busy.cancel()

    loop.run_until_complete(main())


def test_a_descriptor_that_stays_readable_is_reported_again(loop):
    reading, written = socket.socketpair()
    calls = []

    def readable():
        calls.append(None)
        if len(calls) == 3:
            loop.stop()

    with reading, written:
        written.send(b"never read")
        loop.add_reader(reading, readable)
        loop.run_forever()
        loop.remove_reader(reading)
    assert len(calls) == 3


def test_another_thread_makes_a_future_for_the_loop(loop, rust):
    async def main():
        gate = rust.Gate()
        future = await asyncio.to_thread(gate.wait, loop)
        threading.Timer(0.001, gate.open, ["from another thread"]).start()
        assert await future == "from another thread"

    loop.run_until_complete(main())


def test_each_thread_has_a_loop_of_its_own(rust):
    def in_thread(results):
        loop = tokio_loop()

        async def main():
            return await rust.call_inside(threading.get_ident)

        results.append(loop.run_until_complete(main()) == threading.get_ident())
        loop.close()

    results = []
    threads = [threading.Thread(target=in_thread, args=(results,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_a_loop_moves_to_another_thread(loop, rust):
    async def main():
        return await rust.call_inside(threading.get_ident)

    assert loop.run_until_complete(main()) == threading.get_ident()
    seen = []
    thread = threading.Thread(target=lambda: seen.append(loop.run_until_complete(main()) == threading.get_ident()))
    thread.start()
    thread.join()
    assert seen == [True]


def test_another_loop_of_the_thread_has_the_runtime_of_the_process(loop, rust):
    async def main():
        return await rust.call_inside(threading.get_ident)

    loop.run_until_complete(main())
    plain = asyncio.SelectorEventLoop()
    assert plain.run_until_complete(main()) != threading.get_ident()
    plain.close()


@pytest.mark.parametrize("turns_before", [0, 3])
def test_closing_the_loop_drops_its_rust_futures(loop, rust, turns_before):
    gate = rust.Gate()

    async def main():
        gate.wait()
        for _ in range(turns_before):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.close()
    gate.wait_until_dropped()
    with pytest.raises(RuntimeError, match="closed"):
        loop.run_forever()


@pytest.mark.parametrize("kind", KINDS)
def test_closing_the_loop_drops_what_goes_on_though_it_was_cancelled(loop, rust, kind):
    drops, gate = rust.Drops(), rust.Gate()
    loop.run_until_complete(start_and_cancel(rust, kind, drops, gate))
    loop.close()
    check(drops, may_be_attached=True)
    assert not gate.open(None)


def test_block_on_works_on_the_loops_thread(loop, rust):
    async def main():
        return rust.block_on_turns(3, "value")

    assert loop.run_until_complete(main()) == "value"


def test_a_child_makes_a_loop_of_its_own(rust):
    program = """
import os, pyo3_asyncio_pytests as rust

async def main():
    return await rust.turns(3, "value")

def use(loop):
    value = loop.run_until_complete(main())
    loop.close()
    return value

def in_child(function):
    child = os.fork()
    if child == 0:
        function()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def inherited():
    awaited = main()
    try:
        loop.run_until_complete(awaited)
    except RuntimeError as error:
        assert "parent" in str(error)
    else:
        raise AssertionError("the loop of the parent ran")
    awaited.close()
    loop.close()

async def fork_while_it_runs():
    in_child(lambda: __import__("threading").Thread(target=lambda: use(rust.new_event_loop())).start())
    return await main()

loop = rust.new_event_loop()
loop.run_until_complete(main())
in_child(inherited)
in_child(lambda: use(rust.new_event_loop()))
assert loop.run_until_complete(fork_while_it_runs()) == "value"
print(use(loop))
"""
    assert run_program(program) == (0, "value\n", "")


@pytest.mark.parametrize("work", ["asyncio.sleep(60)", "rust.nap(60)"])
def test_ctrl_c_ends_a_loop_that_waits(work):
    program = f"""
import asyncio, os, signal, threading, pyo3_asyncio_pytests as rust

async def main():
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
    await {work}

loop = rust.new_event_loop()
task = loop.create_task(main())
try:
    loop.run_until_complete(task)
except KeyboardInterrupt:
    print("interrupted")
task.cancel()
loop.run_until_complete(asyncio.wait([task]))
loop.close()
"""
    assert run_program(program) == (0, "interrupted\n", "")


def test_a_daemon_thread_with_such_a_loop_does_not_disturb_the_exit():
    program = """
import asyncio, threading, pyo3_asyncio_pytests as rust

async def main():
    await rust.turns(3, None)
    started.set()
    while True:
        await rust.turns(3, None)
        await rust.nap(0.001)

started = threading.Event()
threading.Thread(target=lambda: rust.new_event_loop().run_until_complete(main()), daemon=True).start()
started.wait()
print("end")
"""
    assert run_program(program) == (0, "end\n", "")

"""Processes that fork: the child has its own runtime and mailboxes, and the parent is not affected."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request

import pytest
from test_processes import START, environment, finished, program

# Every program here starts with this. `in_child` runs a function in a child and returns the process id of the child.
PRELUDE = """
import os, traceback, warnings
# Python 3.12 warns of every fork of a process that has threads.
warnings.simplefilter("ignore", DeprecationWarning)

def in_child(function, *arguments):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)

def run_in_child(coroutine, *arguments):
    return in_child(lambda: asyncio.run(coroutine(*arguments)))

def wait_for(pid):
    assert os.waitpid(pid, 0)[1] == 0

async def use():
    assert await rust.turns(3, "turns") == "turns"
    await rust.nap(0.0001)
    assert await rust.into_future(asyncio.sleep(0, "task")).wait() == "task"
    assert await asyncio.gather(*(rust.turns(1, number) for number in range(100))) == list(range(100))
"""


def quiet(body, kind="asyncio"):
    """Runs a program and asserts that it prints only "done"."""
    ended = finished(program(PRELUDE + textwrap.dedent(body), kind))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("kind", START)
def test_a_child_can_use_rust_after_its_parent_has(kind):
    """https://github.com/PyO3/pyo3-async-runtimes/issues/40"""
    quiet(
        """
        async def main():
            await use()

        asyncio.run(main())
        wait_for(run_in_child(use))
        asyncio.run(use())
        # A grandchild works too, and so does a second child.
        wait_for(in_child(lambda: (asyncio.run(use()), wait_for(run_in_child(use)), asyncio.run(use()))))
        wait_for(run_in_child(use))
        print("done")
        """,
        kind,
    )


@pytest.mark.parametrize("kind", START)
def test_a_running_loop_can_fork_with_hundreds_of_futures_in_flight(kind):
    quiet(
        """
        async def main():
            for _ in range(100):
                gates = [rust.Gate() for _ in range(100)]
                futures = [gate.wait() for gate in gates]
                ends = [asyncio.get_running_loop().create_future() for _ in range(100)]
                tasks = [rust.into_future(end).wait() for end in ends]
                naps = [rust.nap(0.00001 * number) for number in range(100)]
                await rust.turns(1, None)
                in_flight = rust.metrics()
                assert in_flight["rust_futures"] >= 200 and in_flight["python_tasks"] == 100, in_flight
                child = run_in_child(use)
                for number in range(100):
                    assert gates[number].open(number)
                    ends[number].set_result(number)
                assert await asyncio.gather(*futures) == list(range(100))
                assert await asyncio.gather(*tasks) == list(range(100))
                await asyncio.gather(*naps)
                wait_for(child)
            print("done")
        """,
        kind,
    )


@pytest.mark.parametrize("kind", START)
def test_threads_can_fork_while_another_thread_runs_a_loop(kind):
    quiet(
        """
        async def main():
            loop = asyncio.get_running_loop()

            def fork():
                for _ in range(10):
                    wait_for(run_in_child(use))

            # They start before the loop first uses Rust.
            forks = [loop.run_in_executor(None, fork) for _ in range(3)]
            while not all(fork.done() for fork in forks):
                await use()
            await asyncio.gather(*forks)
            print("done")
        """,
        kind,
    )


@pytest.mark.parametrize("kind", START)
def test_using_inherited_futures_in_a_child_does_not_affect_the_parent(kind):
    quiet(
        """
        async def await_inherited(future):
            try:
                await future
            except rust.RuntimeStopped as error:
                assert "parent" in str(error)
            else:
                assert False

        def settle(gates, futures, tasks):
            for future in futures[:30]:
                assert future.cancel()
            for future in futures[30:40]:
                future.set_result("from the child")
            for task in tasks[:30]:
                task.cancel()
            for future in futures[40:60]:
                future.add_done_callback(print)
                assert isinstance(future.exception(), rust.RuntimeStopped)
            del future, task
            futures.clear(), tasks.clear(), gates.clear()
            gc.collect()
            asyncio.run(use())

        async def main():
            gates = [rust.Gate() for _ in range(100)]
            futures = [gate.wait() for gate in gates]
            waiters = [asyncio.ensure_future(wait(future)) for future in futures]
            forever = [asyncio.ensure_future(asyncio.sleep(3600)) for _ in range(100)]
            tasks = [rust.into_future(task).wait() for task in forever]
            await rust.turns(3, None)
            wait_for(in_child(settle, gates, futures, tasks))
            await rust.turns(3, None)
            assert not any(future.done() for future in futures + tasks + forever)
            for number, gate in enumerate(gates):
                assert gate.open(number)
            assert await asyncio.gather(*waiters) == list(range(100))
            for task in forever:
                task.cancel()
            await asyncio.wait(tasks)
            print("done")

        async def wait(future):
            return await future
        """,
        kind,
    )


def test_a_stream_goes_on_in_the_process_where_it_began():
    quiet(
        """
        async def main():
            began, new, pending = rust.Feed(), rust.Feed(), rust.Feed()
            generators = [feed.generator(capacity=1) for feed in (began, new, pending)]
            began.send(1, 2)
            assert await generators[0].__anext__() == 1
            waiting = asyncio.ensure_future(generators[2].__anext__())
            await asyncio.sleep(0)

            async def in_the_child():
                new.send("new")
                assert await generators[1].__anext__() == "new"
                try:
                    await generators[0].__anext__()
                except rust.RuntimeStopped as error:
                    assert "began in the parent" in str(error)
                else:
                    raise AssertionError("it went on")
                await generators[1].aclose()
                assert new.is_dropped and not began.is_dropped

            wait_for(run_in_child_of_running_loop(in_the_child))
            assert await generators[0].__anext__() == 2
            pending.send("pending")
            assert await waiting == "pending"
            for generator in generators:
                await generator.aclose()
            assert new.polls == 0

        def run_in_child_of_running_loop(coroutine):
            def run():
                asyncio._set_running_loop(None)
                asyncio.run(coroutine())
            return in_child(run)

        asyncio.run(main())
        print("done")
        """
    )


def test_a_child_can_run_an_inherited_loop():
    quiet(
        """
        async def main():
            print("done")

        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())

        def child():
            # Do not close the loop: that would remove descriptors from the epoll set, which asyncio shares with the parent.
            loop.run_until_complete(use())
            asyncio.run(use())

        wait_for(in_child(child))
        wait_for(in_child(child))
        loop.run_until_complete(use())
        loop.close()
        """
    )


def test_a_child_does_not_install_a_mailbox_that_its_parent_has_just_opened():
    quiet(
        """
        async def main():
            print("done")

        def child():
            loop.run_until_complete(asyncio.sleep(0))
            # The epoll set is shared with the parent, so nothing may be added to it.
            assert len(loop._selector.get_map()) == watched

        loop = asyncio.new_event_loop()
        watched = len(loop._selector.get_map())
        gate = rust.Gate()
        future = gate.wait(loop)
        wait_for(in_child(child))
        gate.open("opened")
        assert loop.run_until_complete(future) == "opened"
        loop.close()
        """
    )


def test_a_child_shares_no_mailbox_eventfd_with_its_parent():
    quiet(
        """
        def eventfds():
            found = set()
            # On systems without /proc there is nothing to compare.
            numbers = os.listdir("/proc/self/fdinfo") if os.path.exists("/proc/self/fdinfo") else []
            for number in numbers:
                try:
                    with open(f"/proc/self/fdinfo/{number}") as info:
                        found.update(line for line in info if line.startswith("eventfd-id"))
                except FileNotFoundError:
                    pass
            return found

        def check(mailbox):
            assert not mailbox & eventfds(), (mailbox, eventfds())

        async def main():
            rust.workers()
            before = eventfds()
            await rust.turns(1, None)
            mailbox = eventfds() - before
            if os.path.exists("/proc/self/fdinfo") and os.environ.get("PYO3_ASYNCIO_DOORBELL") != "call_soon_threadsafe":
                assert len(mailbox) == 1, mailbox
            wait_for(in_child(check, mailbox))
            await rust.turns(1, None)
            print("done")
        """
    )


@pytest.mark.parametrize("kind", START)
def test_a_child_does_not_count_the_futures_in_flight_of_its_parent(kind):
    quiet(
        """
        def in_flight():
            return [rust.metrics()[direction] for direction in ("rust_futures", "python_tasks")]

        async def count():
            assert in_flight() == [0, 0], in_flight()
            gate, end = rust.Gate(), asyncio.get_running_loop().create_future()
            future, task = gate.wait(), rust.into_future(end)
            await rust.turns(1, None)
            assert in_flight()[1] == 1 and in_flight()[0] in (1, 2), in_flight()
            end.set_result(None), gate.open(None)
            await asyncio.gather(future, task.wait())

        def child(inherited):
            # The child drops objects that it never counted.
            inherited.clear()
            gc.collect()
            asyncio.run(count())

        async def main():
            futures = [rust.never() for _ in range(10)]
            here = [rust.local_nap(3600, lambda: None) for _ in range(10)]
            inherited = [rust.into_future(asyncio.sleep(3600)) for _ in range(10)]
            await rust.turns(1, None)
            wait_for(in_child(child, inherited))
            assert in_flight()[0] >= 20 and in_flight()[1] == 10, in_flight()
            print("done")
        """,
        kind,
    )


ENDS_NORMALLY = {
    "that has not used Rust": """
        asyncio.run(use())
        child = os.fork()
        if not child:
            sys.exit(3)
    """,
    "that has used Rust": """
        asyncio.run(use())
        child = os.fork()
        if not child:
            asyncio.run(use())
            sys.exit(3)
    """,
    "that leaves futures behind": """
        kept = []

        async def leave():
            kept.append([rust.never() for _ in range(100)])
            kept.append([rust.into_future(asyncio.sleep(3600)) for _ in range(100)])
            await use()

        asyncio.run(use())
        child = os.fork()
        if not child:
            asyncio.run(leave())
            sys.exit(3)
    """,
    # The fork is in no task: since Python 3.14, a task that forks cannot go on in the child.
    "of a loop that runs": """
        async def leave():
            global kept
            kept = [rust.never() for _ in range(100)]
            await use()

        def fork():
            global child
            child = os.fork()
            loop.stop()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.call_soon(fork)
        loop.run_forever()
        loop.close()
        if not child:
            asyncio.run(use())
            sys.exit(3)
    """,
}


@pytest.mark.parametrize("way", ENDS_NORMALLY)
def test_a_child_exits_with_its_own_status_and_prints_nothing(way):
    quiet(
        ENDS_NORMALLY[way]
        + """
        async def main():
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
            print("done")
        """
    )


@pytest.mark.parametrize("kind", START)
def test_a_child_has_a_background_loop_of_its_own(kind):
    quiet(
        """
        exported = rust.tokio

        async def whereabouts():
            return threading.get_native_id(), os.getpid(), await asyncio.sleep(0, threading.current_thread().name)

        def use_background_loop():
            thread, process, name = exported.call_back_now(whereabouts)
            assert (process, name) == (os.getpid(), "pyo3-asyncio-background")
            assert thread != threading.get_native_id()

        def fork():
            wait_for(in_child(use_background_loop))

        async def fork_in_callback():
            fork()

        async def main():
            use_background_loop()
            fork()
            # Also inside of block_on, with a background loop and without one, and in a callback.
            rust.block_on_call(fork)
            exported.call_back_now(fork_in_callback)
            use_background_loop()
            print("done")
        """,
        kind,
    )


def test_a_generator_that_blocks_goes_on_in_the_process_where_it_began():
    quiet(
        """
        def refused():
            try:
                next(generator)
            except rust.RuntimeStopped as error:
                assert "has forked since" in str(error), error
            else:
                raise AssertionError("it went on")

        async def main():
            wait_for(in_child(refused))
            assert list(generator) == [1, 0]
            print("done")

        generator = rust.tokio.countdown_now(3)
        assert next(generator) == 2
        """
    )


def test_a_child_forked_during_block_on_can_use_rust():
    quiet(
        """
        def fork():
            wait_for(run_in_child(use))

        async def main():
            waits = threading.Event()
            threading.Thread(target=rust.block_on, args=(waits.set,), daemon=True).start()
            waits.wait()
            for _ in range(10):
                rust.block_on_call(fork)
            print("done")
        """
    )


def test_a_fork_waits_for_a_running_poll_of_block_on():
    quiet(
        """
        async def main():
            counted = [0]

            def count():
                for _ in range(100):
                    counted[0] += 1
                counts.set()
                return counted[0]

            def count_for_ever():
                while not stop.is_set():
                    rust.block_on_call(count)

            stop, counts = threading.Event(), threading.Event()
            counter = threading.Thread(target=count_for_ever)
            counter.start()
            counts.wait()

            def whole():
                assert counted[0] % 100 == 0, counted

            for _ in range(100):
                wait_for(in_child(whole))
            stop.set()
            counter.join()
            print("done")
        """
    )


def test_an_eager_start_waits_while_the_process_forks():
    quiet(
        """
        polled, early, threads = threading.Event(), [], []

        async def start():
            await rust.eager_call(polled.set)

        def before_fork():
            # This runs after the hook of the bridge: Python calls the hooks in reverse order of registration.
            threads.append(threading.Thread(target=asyncio.run, args=(start(),)))
            threads[0].start()
            early.append(polled.wait(0.1))

        os.register_at_fork(before=before_fork)

        async def main():
            await use()
            wait_for(in_child(lambda: None))
            threads[0].join()
            assert early == [False] and polled.is_set()
            print("done")
        """
    )


def test_children_build_their_runtimes_with_the_builder_of_their_parent():
    quiet(
        """
        def check(generations):
            if generations > 1:
                wait_for(in_child(check, generations - 1))
            assert rust.workers() == 3
            asyncio.run(use())

        async def main():
            rust.init_runtime(3)
            wait_for(in_child(check, 2))
            await use()
            wait_for(in_child(check, 2))
            print("done")
        """
    )


def test_a_child_forked_while_a_runtime_is_built_has_a_runtime():
    quiet(
        """
        parent, building, go_on = os.getpid(), threading.Event(), threading.Event()

        def name():
            if os.getpid() == parent:
                building.set()
                go_on.wait()
            return "worker"

        async def main():
            rust.init_runtime_named_by(name)
            builder = threading.Thread(target=rust.workers)
            builder.start()
            building.wait()
            wait_for(run_in_child(use))
            go_on.set()
            builder.join()
            await use()
            print("done")
        """
    )


def test_a_blocked_worker_does_not_prevent_a_fork():
    quiet(
        """
        async def main():
            hold = rust.Hold()
            for _ in range(3):
                wait_for(run_in_child(use))
            hold.let_go()
            print("done")
        """
    )


def test_workers_that_attach_do_not_prevent_a_fork():
    quiet(
        """
        async def main():
            busy = [rust.call_for_ever(lambda: sum(range(100))) for _ in range(4)]
            for _ in range(10):
                await rust.turns(3, None)
                wait_for(run_in_child(use))
            for future in busy:
                future.cancel()
            print("done")
        """
    )


@pytest.mark.parametrize("kind", START)
def test_a_loop_that_rust_calls_can_fork_inside_a_call_and_outside(kind):
    quiet(
        """
        children, home = [], os.getpid()

        def fork():
            # The call that forks goes on in the child too.
            if os.getpid() == home and len(children) < 20:
                children.append(in_child(lambda: None))

        async def fork_in_task():
            fork()
            await asyncio.sleep(0)

        async def main():
            calls = [rust.call_on_loop_for_ever(fork) for _ in range(2)]
            calls += [rust.run_coroutines_for_ever(fork_in_task) for _ in range(2)]
            while len(children) < 20:
                await rust.turns(3, None)
                wait_for(run_in_child(use))
            for call in calls:
                call.cancel()
            for child in children:
                wait_for(child)
            print("done")
        """,
        kind,
    )


@pytest.mark.parametrize("kind", START)
def test_a_stream_in_flight_ends_in_a_child_and_goes_on_in_the_parent(kind):
    quiet(
        """
        async def waits(opened):
            yield 1
            await opened.wait()
            yield 2

        async def forks():
            for number in range(10):
                children.append(in_child(lambda: None))
                await asyncio.sleep(0)
                yield number

        async def rest(stream):
            items = []
            while True:
                ready, ends = stream.ready()
                items += ready
                if ends:
                    return items
                await rust.turns(1, None)

        children = []

        def use_inherited(streams):
            for stream in streams:
                try:
                    stream.ready()
                except rust.LoopClosed as error:
                    assert "parent" in str(error)
                else:
                    assert False
                assert stream.ready() == ([], True)
            del stream
            streams.clear()
            gc.collect()
            asyncio.run(use())

        async def main():
            opened = asyncio.Event()
            unpolled, waiting, full = streams = [rust.Items(waits(opened)) for _ in range(3)]
            assert waiting.ready() == full.ready() == ([], False)
            busy = [rust.iterate_for_ever(lambda: waits(opened)) for _ in range(2)]
            while (ready := waiting.ready()) != ([1], False):
                assert ready == ([], False)
                await rust.turns(1, None)
            wait_for(in_child(use_inherited, streams))
            assert await rust.collect_items(forks(), 2) == list(range(10))
            opened.set()
            assert await rest(waiting) == [2]
            assert await rest(full) == await rest(unpolled) == [1, 2]
            for future in busy:
                future.cancel()
            for child in children:
                wait_for(child)
            print("done")
        """,
        kind,
    )


@pytest.mark.parametrize("kind", START)
def test_multiprocessing_can_fork(kind):
    quiet(
        """
        import multiprocessing

        def load(number):
            return asyncio.run(load_item(number))

        async def load_item(number):
            await use()
            return await rust.turns(1, number * number)

        async def main():
            await use()
            context = multiprocessing.get_context("fork")
            process = context.Process(target=load, args=(1,))
            process.start()
            process.join()
            assert process.exitcode == 0
            # Data loaders with workers do this.
            with context.Pool(2) as pool:
                assert pool.map(load, range(20), chunksize=3) == [number * number for number in range(20)]
                await use()
            print("done")
        """,
        kind,
    )


APPLICATION = """
import asyncio, os
import pyo3_asyncio_pytests as rust

async def work():
    await rust.nap(0.0001)
    return await rust.into_future(asyncio.sleep(0, await rust.turns(3, b"from rust "))).wait()

# With --preload this runs in the master. The workers do not inherit its runtime.
asyncio.run(work())

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = await work() + str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_forked_workers_of_a_server_can_use_rust(tmp_path, preload):
    (tmp_path / "application.py").write_text(APPLICATION)
    # The server inherits this socket, so no other process can take the port.
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "application:app", "--workers", "2"]
        command += ["--worker-class", "uvicorn.workers.UvicornWorker", "--bind", f"fd://{server.fileno()}"]
        command += ["--chdir", str(tmp_path), "--graceful-timeout", "30", "--log-level", "critical", *preload]
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        master = subprocess.Popen(
            command, pass_fds=[server.fileno()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        try:
            workers = set()
            while len(workers) < 2:
                with urllib.request.urlopen(address, timeout=60) as response:
                    text, _, worker = response.read().rpartition(b" ")
                    assert (response.status, text) == (200, b"from rust")
                    workers.add(worker)
        finally:
            master.send_signal(signal.SIGTERM)
            out, err = master.communicate(timeout=60)
    assert (master.returncode, out, err) == (0, b"", b"")

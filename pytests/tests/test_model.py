"""The same program with a RustFuture and with an asyncio.Future has the same outcome.

A program is a coroutine function that takes a source of futures. Its result, and the calls of the loop's exception handler,
must be equal for both sources.
"""

import asyncio
import collections.abc
import contextvars
import inspect
import re
import sys
import threading

import pytest
from conftest import end

PROGRAMS = []


def program(function=None, *, since=(3, 9)):
    """Registers a program, on the Python versions that support it."""
    if function is None:
        return lambda function: program(function, since=since)
    if sys.version_info >= since:
        PROGRAMS.append(function)
    return function


class AsyncioSource:
    """asyncio futures, completed as another thread would complete them."""

    def __init__(self, rust):
        pass

    def future(self):
        return asyncio.get_running_loop().create_future()

    def give(self, future, value):
        self._complete(future, lambda: future.set_result(value))

    def fail(self, future, exception):
        self._complete(future, lambda: future.set_exception(exception))

    def _complete(self, future, complete):
        future.get_loop().call_soon_threadsafe(lambda: future.done() or complete())


class RustSource:
    """Rust futures, completed by Rust."""

    def __init__(self, rust):
        self.rust = rust
        self.gates = {}

    def future(self):
        gate = self.rust.Gate()
        future = gate.wait()
        self.gates[id(future)] = gate
        return future

    def give(self, future, value):
        self.gates[id(future)].open(value)

    def fail(self, future, exception):
        self.gates[id(future)].fail(exception)


def plain(value):
    """A value as text, without what may differ: the name of the class, addresses, task numbers, the place of creation."""
    text = value if isinstance(value, str) else repr(value)
    text = re.sub(r" created at [^ >]+", "", text.replace("RustFuture", "Future"))
    return re.sub(r"0x[0-9a-f]+|Task-\d+", "…", text)


def ended(future):
    """The end of a future as a comparable value."""
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    exception = future.exception()
    return ("result", future.result()) if exception is None else described(exception)


def described(exception):
    # asyncio has two futures, in C and in Python, which word this differently.
    text = "…" if isinstance(exception, asyncio.InvalidStateError) else plain(str(exception))
    return ("raised", type(exception).__name__, text)


async def attempt(awaitable):
    """Awaits, and returns the outcome as a comparable value."""
    try:
        return "result", await awaitable
    except asyncio.CancelledError as cancelled:
        return ("raised", "CancelledError", cancelled.args)
    except Exception as exception:
        return described(exception)


def attempted(function, *args):
    """Calls, and returns the outcome as a comparable value."""
    try:
        return "result", function(*args)
    except BaseException as exception:
        return described(exception)


async def settle(turns=5):
    for _ in range(turns):
        await asyncio.sleep(0)


# Awaiting


@program
async def a_result_is_awaited(source):
    future = source.future()
    source.give(future, [1, 2])
    return await future, ended(future)


@program
async def an_error_is_awaited(source):
    future = source.future()
    source.fail(future, KeyError("no such key"))
    return await attempt(future), ended(future)


@program
async def a_done_future_is_awaited_again(source):
    future = source.future()
    source.give(future, 1)
    return await future, await future, await asyncio.wait_for(future, 10)


@program
async def many_tasks_wait_for_one_future(source):
    future = source.future()
    order = []

    async def waiter(number):
        order.append((number, await future))

    tasks = [asyncio.ensure_future(waiter(number)) for number in range(10)]
    await settle()
    source.give(future, "x")
    await asyncio.wait(tasks)
    return order


@program
async def a_task_awaits_futures_one_after_another(source):
    async def task():
        total = 0
        for number in range(20):
            future = source.future()
            source.give(future, number)
            total += await future
        return total

    return await asyncio.ensure_future(task())


@program
async def the_iterator_of_a_future_yields_it_once(source):
    future = source.future()
    iterator = future.__await__()
    first = next(iterator)
    # A task does this with a future that is yielded to it.
    blocking, first._asyncio_future_blocking = first._asyncio_future_blocking, False
    unused = attempted(next, future.__await__().__iter__())
    early = attempted(next, iterator)
    future.cancel()
    return first is future, blocking, unused[0], early


@program
async def throwing_into_the_iterator_raises_there_and_leaves_the_future_pending(source):
    future = source.future()
    iterator = future.__await__()
    next(iterator)
    raised = attempted(iterator.throw, ValueError("thrown"))
    state = ended(future)
    future.cancel()
    return raised, state


@program
async def a_closed_iterator_leaves_the_future_pending(source):
    future = source.future()
    iterator = iter(future)
    next(iterator)
    iterator.close()
    state = ended(future)
    future.cancel()
    return state, attempted(next, iterator)


@program
async def a_task_of_another_loop_cannot_await_it(source):
    future = source.future()

    def other():
        async def main():
            return (await attempt(future))[:2]

        return asyncio.run(main())

    result = await asyncio.get_running_loop().run_in_executor(None, other)
    future.cancel()
    return result


# Cancelling


@program
async def cancelling_with_a_message_tells_the_waiter(source):
    future = source.future()
    task = asyncio.ensure_future(attempt(future))
    await settle()
    first, second = future.cancel("enough"), future.cancel("again")
    return first, second, await task, ended(future), attempted(future.result)[:2]


@program
async def cancelling_the_task_cancels_the_future(source):
    future = source.future()

    async def waiter():
        await future

    task = asyncio.ensure_future(waiter())
    await settle()
    task.cancel("stop")
    done, _ = await asyncio.wait([task])
    return ended(future), ended(task), len(done)


@program
async def a_task_catches_its_cancellation_and_goes_on(source):
    first, second = source.future(), source.future()

    async def waiter():
        try:
            await first
        except asyncio.CancelledError:
            return await second

    task = asyncio.ensure_future(waiter())
    await settle()
    task.cancel()
    await settle()
    source.give(second, "after")
    return await task, ended(first), ended(second)


@program
async def completing_a_cancelled_future_changes_nothing(source):
    future = source.future()
    future.cancel()
    source.give(future, 1)
    await settle()
    return ended(future), attempted(future.set_result, 2)


@program
async def a_task_is_cancelled_in_the_turn_in_which_its_future_is_done(source):
    future = source.future()

    async def waiter():
        return await future

    task = asyncio.ensure_future(waiter())
    await settle()
    future.set_result("too late")
    task.cancel()
    await asyncio.wait([task])
    return ended(task), ended(future)


@program
async def cancelling_a_done_future_returns_false(source):
    future = source.future()
    source.give(future, 1)
    await future
    return future.cancel(), ended(future)


# Results that Python sets


@program
async def python_sets_a_result(source):
    future = source.future()
    task = asyncio.ensure_future(attempt(future))
    await settle()
    future.set_result("from Python")
    return await task, attempted(future.set_result, 1), attempted(future.set_exception, OSError())


@program
async def python_sets_an_exception(source):
    future, by_class = source.future(), source.future()
    future.set_exception(OSError("from Python"))
    by_class.set_exception(OSError)
    return await attempt(future), await attempt(by_class), attempted(future.set_result, 1)


@program
async def setting_an_object_that_is_not_an_exception_raises(source):
    future = source.future()
    refusals = [attempted(future.set_exception, wrong)[:2] for wrong in (1, "text", int)]
    state = ended(future)
    future.cancel()
    return refusals, state


@program
async def asking_a_pending_future_raises(source):
    future = source.future()
    answers = attempted(future.result), attempted(future.exception)
    future.cancel()
    return answers, attempted(future.exception)[:2]


@program
async def rust_does_not_replace_a_result_that_python_set(source):
    future = source.future()
    future.set_result("first")
    source.give(future, "second")
    await settle()
    return ended(future)


# Callbacks


@program
async def callbacks_run_in_order_and_in_a_later_turn(source):
    future = source.future()
    trace = []
    for number in range(3):
        future.add_done_callback(lambda future, number=number: trace.append((number, ended(future))))
    future.set_result(1)
    trace.append("set")
    await settle()
    future.add_done_callback(lambda future: trace.append("late"))
    trace.append("added")
    await settle()
    return trace


def noting(trace, word):
    """A callback that records its call."""
    return lambda future: trace.append(word)


@program
async def callbacks_run_when_rust_completes_the_future(source):
    future, called = source.future(), asyncio.Event()
    trace = []
    future.add_done_callback(lambda future: trace.append(ended(future)))
    future.add_done_callback(lambda future: called.set())
    source.give(future, 7)
    await called.wait()
    return trace


@program
async def removed_callbacks_do_not_run(source):
    future, trace = source.future(), []
    one, two = noting(trace, 1), noting(trace, 2)
    for callback in (one, two, one):
        future.add_done_callback(callback)
    removed = future.remove_done_callback(one), future.remove_done_callback(one)
    future.set_result(None)
    await settle()
    return removed, trace, future.remove_done_callback(two)


@program
async def a_raising_callback_is_reported_and_the_others_run(source):
    future = source.future()
    trace = []

    def raises(future):
        raise ValueError("from a callback")

    future.add_done_callback(raises)
    future.add_done_callback(lambda future: trace.append("still here"))
    source.give(future, 1)
    await future
    await settle()
    return trace


VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


@program
async def callbacks_run_in_their_context_and_in_no_task(source):
    future, called = source.future(), asyncio.Event()
    trace = []

    def callback(future):
        trace.append((VARIABLE.get(), asyncio.current_task()))
        VARIABLE.set("changed by a callback")

    VARIABLE.set("own")
    future.add_done_callback(callback)
    VARIABLE.set("later")
    context = contextvars.copy_context()
    context.run(VARIABLE.set, "given")
    future.add_done_callback(callback, context=context)
    future.add_done_callback(lambda future: called.set())
    source.give(future, 1)
    await called.wait()
    return trace, VARIABLE.get(), context[VARIABLE]


@program
async def a_woken_task_is_the_current_one_and_has_its_own_context(source):
    async def waiter(number):
        VARIABLE.set(number)
        future = source.future()
        task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(source.give, future, number)
        got = await future
        return got, asyncio.current_task() is task, VARIABLE.get(), asyncio.get_running_loop() is future.get_loop()

    VARIABLE.set("outer")
    results = await asyncio.gather(*(waiter(number) for number in range(20)))
    return results, VARIABLE.get()


@program
async def there_is_no_current_task_between_two_tasks(source):
    seen = []
    futures = [source.future() for _ in range(3)]

    async def waiter(future):
        await future
        asyncio.get_running_loop().call_soon(lambda: seen.append(asyncio.current_task()))

    tasks = [asyncio.ensure_future(waiter(future)) for future in futures]
    await settle()
    for future in futures:
        source.give(future, None)
    await asyncio.wait(tasks)
    await settle()
    return seen


@program
async def a_callback_adds_and_removes_callbacks(source):
    future, trace = source.future(), []
    last = noting(trace, "last")

    def first(future):
        trace.append("first")
        trace.append(future.remove_done_callback(last))
        future.add_done_callback(noting(trace, "added"))

    future.add_done_callback(first)
    future.add_done_callback(last)
    future.cancel()
    await settle()
    return trace


# Turns of the loop: a change that Python makes to a future takes effect in the same turn


async def traced(source, act):
    trace = []
    future = source.future()

    async def waiter():
        outcome = await attempt(future)
        trace.append(("waiter", outcome))

    async def clock():
        for turn in range(6):
            trace.append(turn)
            await asyncio.sleep(0)

    future.add_done_callback(lambda future: trace.append("callback"))
    waiting = asyncio.ensure_future(waiter())
    await settle()
    ticking = asyncio.ensure_future(clock())
    asyncio.get_running_loop().call_soon(act, future)
    await asyncio.wait([waiting, ticking])
    return trace


@program
async def a_result_set_in_python_takes_as_many_turns(source):
    return await traced(source, lambda future: future.set_result(1))


@program
async def an_exception_set_in_python_takes_as_many_turns(source):
    return await traced(source, lambda future: future.set_exception(OSError("x")))


@program
async def a_cancellation_takes_as_many_turns(source):
    return await traced(source, lambda future: future.cancel("x"))


@program
async def awaiting_a_done_future_takes_no_turn(source):
    future = source.future()
    future.set_result(1)
    trace = []
    asyncio.get_running_loop().call_soon(trace.append, "a turn")
    trace.append(await future)
    return trace


# asyncio's functions over futures


@program
async def wait_for_all(source):
    futures = [source.future() for _ in range(5)]
    for number, future in enumerate(futures):
        source.give(future, number)
    done, pending = await asyncio.wait(futures)
    return sorted(future.result() for future in done), len(pending)


@program
async def wait_for_the_first(source):
    futures = [source.future() for _ in range(5)]
    source.give(futures[3], "third")
    done, pending = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in pending:
        future.cancel()
    return [ended(future) for future in done], len(pending)


@program
async def wait_for_the_first_exception(source):
    futures = [source.future() for _ in range(4)]
    source.give(futures[0], 0)
    await futures[0]
    source.fail(futures[1], ValueError("one"))
    done, pending = await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
    for future in pending:
        future.cancel()
    return sorted(map(str, map(ended, done))), len(pending)


@program
async def wait_with_a_timeout_cancels_nothing(source):
    futures = [source.future() for _ in range(2)]
    source.give(futures[0], 0)
    await futures[0]
    done, pending = await asyncio.wait(futures, timeout=0.001)
    states = [ended(future) for future in futures]
    futures[1].cancel()
    return states, len(done), len(pending)


@program
async def wait_on_a_done_future(source):
    future = source.future()
    future.set_result(1)
    done, pending = await asyncio.wait([future])
    return len(done), len(pending)


@program
async def wait_for_in_time(source):
    future = source.future()
    source.give(future, 1)
    return await asyncio.wait_for(future, 60), ended(future)


@program
async def wait_for_cancels_after_its_timeout(source):
    future = source.future()
    return await attempt(asyncio.wait_for(future, 0.001)), ended(future)


@program
async def wait_for_with_a_timeout_of_zero(source):
    future = source.future()
    return await attempt(asyncio.wait_for(future, 0)), ended(future)


@program
async def wait_for_is_cancelled(source):
    future = source.future()
    task = asyncio.ensure_future(asyncio.wait_for(future, 60))
    await settle()
    task.cancel()
    await asyncio.wait([task])
    return ended(task), ended(future)


@program
async def gather_keeps_the_order(source):
    futures = [source.future() for _ in range(5)]
    for number in (3, 1, 4, 0, 2):
        source.give(futures[number], number)
    return await asyncio.gather(*futures)


@program
async def gather_accepts_one_future_twice(source):
    future = source.future()
    source.give(future, 1)
    return await asyncio.gather(future, future)


@program
async def gather_mixes_futures_and_coroutines(source):
    future, inner = source.future(), source.future()

    async def coroutine():
        return await inner

    source.give(future, 1)
    source.give(inner, 2)
    return await asyncio.gather(future, coroutine(), asyncio.sleep(0, 3))


@program
async def gather_raises_the_first_error_and_cancels_nothing(source):
    futures = [source.future() for _ in range(3)]
    source.fail(futures[1], ValueError("one"))
    raised = await attempt(asyncio.gather(*futures))
    states = [ended(future) for future in futures]
    futures[0].cancel()
    futures[2].cancel()
    await settle()
    return raised, states


@program
async def gather_returns_exceptions(source):
    futures = [source.future() for _ in range(3)]
    source.fail(futures[0], ValueError("zero"))
    futures[1].cancel("one")
    source.give(futures[2], 2)
    results = await asyncio.gather(*futures, return_exceptions=True)
    return [plain(result) for result in results]


@program
async def gather_is_cancelled(source):
    futures = [source.future() for _ in range(3)]
    outer = asyncio.gather(*futures)
    await settle()
    cancelled = outer.cancel()
    return cancelled, await attempt(outer), [ended(future) for future in futures]


@program
async def a_cancelled_child_cancels_gather(source):
    futures = [source.future() for _ in range(2)]
    outer = asyncio.gather(*futures)
    futures[0].cancel()
    raised = (await attempt(outer))[:2]
    futures[1].cancel()
    await settle()
    return raised, [ended(future) for future in futures]


@program
async def shield_keeps_the_future_from_being_cancelled(source):
    future = source.future()
    outer = asyncio.shield(future)
    await settle()
    outer.cancel()
    raised = (await attempt(outer))[:2]
    state = ended(future)
    source.give(future, "went on")
    return raised, state, await future


@program
async def shield_hands_on_result_and_error(source):
    good, bad = source.future(), source.future()
    source.give(good, 1)
    source.fail(bad, ValueError("inner"))
    return await attempt(asyncio.shield(good)), await attempt(asyncio.shield(bad))


@program
async def the_error_of_an_abandoned_shielded_future_is_reported(source):
    future = source.future()
    outer = asyncio.shield(future)
    await settle()
    outer.cancel()
    source.fail(future, ValueError("nobody listens"))
    await asyncio.wait([future])
    await settle()
    return ended(outer), ended(future)


@program
async def as_completed_yields_in_the_order_of_completion(source):
    futures = [source.future() for _ in range(4)]
    order = []
    iterator = asyncio.as_completed(futures)
    for number in (2, 0, 3, 1):
        source.give(futures[number], number)
        await asyncio.wait([futures[number]])
        order.append(await next(iterator))
    return order


@program
async def as_completed_times_out(source):
    futures = [source.future() for _ in range(2)]
    source.give(futures[0], 0)
    await futures[0]
    results = [await attempt(next_one) for next_one in asyncio.as_completed(futures, timeout=0.1)]
    futures[1].cancel()
    return results


@program(since=(3, 13))
async def as_completed_is_an_async_iterator_of_the_futures_themselves(source):
    futures = [source.future() for _ in range(3)]
    for number, future in enumerate(futures):
        source.give(future, number)
    return sorted([(await future, future in futures) async for future in asyncio.as_completed(futures)])


@program(since=(3, 11))
async def a_timeout_cancels_the_future(source):
    future = source.future()
    try:
        async with asyncio.timeout(0.001):
            await future
    except TimeoutError:
        return "timed out", ended(future), asyncio.current_task().cancelling()


@program(since=(3, 11))
async def a_timeout_that_is_not_reached_leaves_no_trace(source):
    future = source.future()
    source.give(future, 1)
    async with asyncio.timeout(60):
        return await future, asyncio.current_task().cancelling()


@program
async def ensure_future_and_wrap_future_give_the_same_object(source):
    future = source.future()
    same = asyncio.ensure_future(future) is future, asyncio.wrap_future(future) is future
    future.cancel()
    return same


@program
async def ensure_future_refuses_another_loop(source):
    future = source.future()
    other = asyncio.new_event_loop()
    refused = attempted(lambda: asyncio.ensure_future(future, loop=other))
    other.close()
    future.cancel()
    return refused


@program
async def run_coroutine_threadsafe_over_a_wrapper(source):
    loop = asyncio.get_running_loop()

    async def good():
        future = source.future()
        source.give(future, 1)
        return await future

    async def bad():
        future = source.future()
        source.fail(future, ValueError("from the loop"))
        return await future

    def in_thread():
        results = []
        for coroutine in (good(), bad()):
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
            results.append(attempted(future.result, 60))
        return results

    return await loop.run_in_executor(None, in_thread)


@program
async def a_wrapped_concurrent_future_is_chained(source):
    """`_chain_future` copies states between asyncio's and concurrent's futures, in both directions."""
    import concurrent.futures
    from asyncio.futures import _chain_future

    there, back = concurrent.futures.Future(), source.future()
    future = source.future()
    _chain_future(future, there)
    _chain_future(there, back)
    source.give(future, 5)
    cancelled, follows = source.future(), concurrent.futures.Future()
    _chain_future(cancelled, follows)
    follows.cancel()
    result = await back
    await asyncio.wait([cancelled])
    return result, there.result(), ended(cancelled)


@program(since=(3, 11))
async def a_task_group_of_wrappers(source):
    async def wrapper(number):
        future = source.future()
        source.give(future, number)
        return await future

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wrapper(number)) for number in range(5)]
    return [task.result() for task in tasks]


@program(since=(3, 11))
async def a_task_group_cancels_the_siblings_of_a_failure(source):
    waiting, failing = source.future(), source.future()

    async def wrapper(future):
        return await future

    try:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(wrapper(waiting))
            group.create_task(wrapper(failing))
            source.fail(failing, ValueError("one"))
    except BaseExceptionGroup as errors:  # noqa: F821 (it is there since 3.11)
        return [described(error) for error in errors.exceptions], ended(waiting), ended(sibling)


@program
async def a_queue_and_a_lock_between_tasks_that_wait(source):
    queue, lock, order = asyncio.Queue(2), asyncio.Lock(), []

    async def producer():
        for number in range(6):
            future = source.future()
            source.give(future, number)
            await queue.put(await future)

    async def consumer():
        for _ in range(6):
            async with lock:
                order.append(await queue.get())

    await asyncio.gather(producer(), consumer())
    return order


@program
async def an_async_generator_awaits(source):
    async def generator():
        for number in range(3):
            future = source.future()
            source.give(future, number)
            yield await future

    return [number async for number in generator()]


@program
async def a_coroutine_is_driven_without_a_task(source):
    future = source.future()

    async def coroutine():
        return await future

    driven = coroutine()
    yielded = driven.send(None)
    future.set_result("sent")
    try:
        driven.send(None)
    except StopIteration as stop:
        return yielded is future, stop.value


@program
async def a_future_is_completed_in_another_thread_while_the_loop_is_busy(source):
    futures = [source.future() for _ in range(50)]

    def complete():
        for number, future in enumerate(futures):
            source.give(future, number)

    thread = threading.Thread(target=complete)
    thread.start()
    thread.join()
    return await asyncio.gather(*futures)


# Inspection


@program
async def inspection_functions_recognize_a_future(source):
    future = source.future()
    answers = (
        asyncio.isfuture(future),
        inspect.isawaitable(future),
        asyncio.iscoroutine(future),
        isinstance(future, collections.abc.Awaitable),
        isinstance(future, collections.abc.Iterable),
        isinstance(future, collections.abc.Coroutine),
        callable(getattr(future, "__await__", None)),
        future.get_loop() is asyncio.get_running_loop(),
        bool(future),
        future == future,
        future != object(),
        len({future, future}),
    )
    future.cancel()
    return answers


@program
async def every_public_name_exists(source):
    future = source.future()
    names = [name for name in dir(asyncio.Future) if not name.startswith("_")]
    future.cancel()
    return names, [name for name in names if not hasattr(future, name)]


@program
async def repr_shows_each_state(source):
    def callback(future):
        pass

    pending, result, error, cancelled = (source.future() for _ in range(4))
    pending.add_done_callback(callback)
    result.set_result({"a": 1})
    error.set_exception(ValueError("x"))
    cancelled.cancel()
    texts = [plain(future) for future in (pending, result, error, cancelled)]
    error.exception()
    pending.cancel()
    return texts


@program
async def an_unretrieved_error_is_reported(source):
    future = source.future()
    future.set_exception(ValueError("nobody asks"))
    del future
    await settle()
    return "told"


@program
async def a_retrieved_error_is_not_reported(source):
    first, second, third = (source.future() for _ in range(3))
    for future in (first, second, third):
        future.set_exception(ValueError("asked for"))
    raised = await attempt(first), attempted(second.result), described(third.exception())
    del first, second, third, future
    await settle()
    return raised


def observe(main, source, new_loop):
    def handle(loop, context):
        # A handle of the loop and the mailbox print a callback differently.
        message = plain(context["message"]).partition(" callback ")[0]
        told.append((message, plain(context.get("exception"))))

    told = []
    loop = new_loop()
    loop.set_exception_handler(handle)
    source = source()
    try:
        return loop.run_until_complete(main(source)), told
    finally:
        end(loop)


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
@pytest.mark.parametrize("main", PROGRAMS, ids=lambda main: main.__name__)
def test_a_program_cannot_tell_a_rust_future_from_an_asyncio_future(main, new_loop, rust, debug):
    def new_debug_loop():
        loop = new_loop()
        loop.set_debug(debug)
        return loop

    expected = observe(main, lambda: AsyncioSource(rust), new_debug_loop)
    assert observe(main, lambda: RustSource(rust), new_debug_loop) == expected

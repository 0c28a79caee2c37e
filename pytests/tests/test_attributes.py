"""`#[pyfunction]` and `#[pymethods]` turn an `async fn` into the counterpart of an `async def`."""

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import os
import threading
import time
import weakref

import pytest


def throw(coroutine):
    with pytest.raises(LookupError):
        coroutine.throw(LookupError)


ENDS = {"closed": lambda coroutine: coroutine.close(), "thrown into": throw, "dropped": lambda coroutine: None}


def test_an_async_fn_gives_a_coroutine(exported, run):
    coroutine = exported.add(1)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert run(coroutine) == 6


def test_a_signature_has_positional_and_keyword_parameters_and_defaults(exported, run):
    assert str(inspect.signature(exported.add)) == "(a: int, /, b: int = 2, *, c: int = 3) -> int"
    assert run(exported.add(1, b=10, c=100)) == 111


def test_the_documentation_is_the_docstring(exported):
    assert exported.add.__doc__ == "Adds three numbers."
    assert exported.Shared.pass_through.__doc__ == "Waits for the gate."


@pytest.mark.parametrize("call", ["add()", "add('one')", "add(1, 2, 3)", "add(1, d=4)", "Shared.double([])", "Shared('x').pass_through(1)"])
def test_a_bad_argument_raises_type_error_at_the_call(exported, call):
    with pytest.raises(TypeError):
        eval(call, vars(exported))


def test_argument_errors_use_the_python_name_of_the_function(exported):
    with pytest.raises(TypeError, match=r"^add\(\) got an unexpected keyword argument 'd'$"):
        exported.add(1, d=4)
    with pytest.raises(TypeError, match=r"^Shared\.connect\(\) missing 1 required positional argument: 'name'$"):
        exported.Shared.connect()


def test_a_coroutine_has_the_name_of_its_function(exported):
    named = [
        (exported.add(1), "add", "add"),
        (exported.public_name(None), "public_name", "public_name"),
        (exported.Shared("x").greet(), "greet", "Shared.greet"),
        (exported.Shared.connect("x"), "connect", "Shared.connect"),
        (exported.Shared.double(1), "double", "Shared.double"),
        (exported.UpTo(1).__anext__(), "__anext__", "UpTo.__anext__"),
    ]
    for coroutine, name, qualname in named:
        assert (coroutine.__name__, coroutine.__qualname__) == (name, qualname)
        coroutine.close()


def test_a_function_has_its_given_name_and_text_signature(exported, rust):
    assert exported.public_name.__name__ == "public_name"
    assert str(inspect.signature(exported.public_name)) == "(whatever) -> None"
    assert not hasattr(rust, "private_name")


def test_a_method_has_its_given_text_signature(exported):
    assert str(inspect.signature(exported.Shared.outdated)) == "(self, whatever) -> None"


def test_a_function_with_a_warning_warns_at_the_call(exported):
    with pytest.warns(UserWarning, match="^a function of old$"):
        coroutine = exported.outdated()
    coroutine.close()
    with pytest.warns(FutureWarning, match="^a method of old$"):
        coroutine = exported.Shared("x").outdated(1)
    coroutine.close()


def test_the_unit_result_is_none(exported, run):
    assert run(exported.nothing()) is None
    assert run(exported.nothing_or_error(False)) is None
    with pytest.raises(ValueError, match="^an error$"):
        run(exported.nothing_or_error(True))


def test_a_library_error_is_converted_to_its_python_exception(exported, run):
    assert run(exported.reject("")) == 0
    with pytest.raises(ValueError, match="^nonsense$"):
        run(exported.reject("nonsense"))


def test_a_type_alias_of_result_works_as_a_result(exported, run):
    assert run(exported.reply(type="text")) == "text"


def test_rust_can_call_an_exported_function(exported, run):
    assert run(exported.add_twice(5)) == 7


def test_a_function_receives_its_module_and_all_arguments(exported, run):
    module, *arguments = run(exported.everything(1, 2, three=3))
    assert module.everything is exported.everything
    assert arguments == [(1, 2), {"three": 3}]
    assert run(exported.everything())[1:] == ((), None)


def test_from_py_with_converts_the_argument(exported, run):
    assert run(exported.length_of("four")) == 4
    with pytest.raises(TypeError):
        exported.length_of(4)


def test_a_declarative_module_contains_functions_of_the_attribute(exported, run):
    assert run(exported.inline.declared()) == "inline"


def test_the_future_sees_the_runtime_and_the_context_of_the_awaiting_task(exported, run):
    variable = contextvars.ContextVar("variable", default="outside")

    async def main():
        coroutine = exported.surroundings(variable)
        variable.set("inside")
        assert await coroutine == (asyncio.get_running_loop(), "inside")

    run(main())


def test_a_method_does_not_run_before_it_is_awaited(exported, rust, run):
    shared, gate = exported.Shared("x"), rust.Gate()
    coroutine = shared.pass_through(gate)
    assert shared.calls == 0

    async def main():
        task = asyncio.ensure_future(coroutine)
        assert gate.open("through")
        assert await task == "through"

    run(main())
    assert shared.calls == 1


def test_a_cancelled_task_drops_the_future(exported, rust, run):
    async def main():
        gate = rust.Gate()
        task = asyncio.ensure_future(exported.pass_through(gate))
        while not gate.polls:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.wait_until_dropped()
        assert not gate.open("too late")

    run(main())


def test_the_cancel_handle_is_not_a_python_parameter(exported):
    assert [*inspect.signature(exported.pass_or_clean_up).parameters] == ["gate", "clean", "log"]
    assert [*inspect.signature(exported.Counter.count_cancellations).parameters] == ["self", "gate"]


def test_a_future_with_a_cancel_handle_cleans_up_before_it_ends(exported, rust, run):
    async def main():
        gate, clean, log = rust.Gate(), rust.Gate(), []
        task = asyncio.ensure_future(exported.pass_or_clean_up(gate, clean, log))
        await asyncio.sleep(0)
        task.cancel("enough")
        clean.open(None)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [error.args for error in log] == [("enough",)]

    run(main())


@pytest.mark.two_threads
def test_an_eager_function_is_first_polled_on_the_awaiting_thread(exported, run):
    async def main():
        assert await exported.eager_polling_thread() == exported.this_thread()
        assert await exported.polling_thread() != exported.this_thread()
        assert await exported.Shared("method").greet("hi") == f"hi, method on {exported.this_thread()}"

    run(main())


def eager(exported, rust, cancellable):
    """A coroutine with an eager start, and the gate that it awaits."""
    gate, clean = rust.Gate(), rust.Gate()
    clean.open(None)
    if cancellable:
        return exported.eager_pass_or_clean_up(gate, clean, []), gate
    return exported.eager_pass_through(gate), gate


both_ways = pytest.mark.parametrize("cancellable", [False, True])


@both_ways
def test_a_pending_eager_function_continues_on_the_runtime(exported, rust, run, cancellable):
    async def main():
        coroutine, gate = eager(exported, rust, cancellable)
        assert gate.polls == 0
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        assert gate.polls >= 1 and inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
        gate.open("through")
        assert await task == "through"

    run(main())


@both_ways
def test_cancelling_a_pending_eager_function_drops_its_future(exported, rust, run, cancellable):
    async def main():
        coroutine, gate = eager(exported, rust, cancellable)
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.wait_until_dropped()

    run(main())


@pytest.mark.two_threads
@both_ways
@pytest.mark.parametrize("end", ENDS)
def test_ending_a_pending_eager_function_drops_its_future(exported, rust, run, end, cancellable):
    async def main():
        coroutine, gate = eager(exported, rust, cancellable)
        coroutine.send(None)
        ENDS[end](coroutine)
        del coroutine
        gate.wait_until_dropped()

    run(main())


@both_ways
def test_a_panic_in_a_later_poll_of_an_eager_function_is_raised(exported, rust, run, capfd, cancellable):
    async def main():
        coroutine, gate = eager(exported, rust, cancellable)
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        gate.panic("in a later poll")
        with pytest.raises(rust.RustPanic, match="in a later poll"):
            await task
        gate.wait_until_dropped()

    run(main())
    assert "panicked at" in capfd.readouterr().err


def test_a_panic_in_the_second_poll_of_an_eager_function_is_raised(exported, rust, run, capfd):
    with pytest.raises(rust.RustPanic, match="in the second poll"):
        run(exported.eager_panic())
    assert "panicked at" in capfd.readouterr().err


def test_an_eager_function_cleans_up_when_it_is_cancelled(exported, rust, run):
    async def main():
        gate, clean, log = rust.Gate(), rust.Gate(), []
        task = asyncio.ensure_future(exported.eager_pass_or_clean_up(gate, clean, log))
        await asyncio.sleep(0)
        task.cancel("enough")
        clean.open(None)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [error.args for error in log] == [("enough",)]

    run(main())


def test_plain_methods_constructors_getters_and_constants_are_unchanged(exported):
    shared = exported.Shared("name")
    assert (shared.plain(), shared.calls, exported.Shared.ANSWER) == ("name", 0, 42)


def test_methods_of_a_frozen_class_run_concurrently(exported, rust, run):
    async def main():
        shared, gates = exported.Shared("x"), [rust.Gate() for _ in range(3)]
        tasks = [asyncio.ensure_future(shared.pass_through(gate)) for gate in gates]
        for number, gate in reversed(list(enumerate(gates))):
            gate.open(number)
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        assert shared.calls == 3

    run(main())


def test_a_coroutine_keeps_its_object_alive_until_it_ends(exported, rust, run):
    async def main():
        shared, gate = exported.Shared("x"), rust.Gate()
        gone = weakref.ref(shared)
        coroutine = shared.pass_through(gate)
        del shared
        gc.collect()
        assert gone() is not None
        task = asyncio.ensure_future(coroutine)
        gate.open(None)
        await task
        del coroutine, task
        gc.collect()
        assert gone() is None

    run(main())


class Holder:
    """One half of a reference cycle with a coroutine."""


CYCLES = {
    "function": lambda exported, holder: exported.public_name(holder),
    "one of many": lambda exported, holder: exported.count_given(1, holder, holder, None),
    "method": lambda exported, holder: exported.Shared("x").compare(holder),
    "borrowing method": lambda exported, holder: exported.Counter().add_and_call(holder.gate, holder),
    "eager method": lambda exported, holder: exported.Counter().compare_now(holder),
}


@pytest.mark.parametrize("made", CYCLES)
def test_a_coroutine_in_a_cycle_through_an_argument_is_collected_as_never_awaited(exported, rust, made):
    def make():
        holder = Holder()
        holder.gate = rust.Gate()
        holder.coroutine = CYCLES[made](exported, holder)
        return weakref.ref(holder)

    gone = make()
    assert gone() is not None
    with pytest.warns(RuntimeWarning, match="^coroutine '.*' was never awaited\n"):
        gc.collect()
    assert gone() is None


def test_a_coroutine_in_a_cycle_with_its_object_is_collected(exported):
    def make():
        class Sub(exported.Shared):
            pass

        shared = Sub("x")
        shared.coroutine = shared.greet()
        return weakref.ref(shared)

    gone = make()
    with pytest.warns(RuntimeWarning, match="^coroutine 'Shared.greet' was never awaited\n"):
        gc.collect()
    assert gone() is None


@pytest.mark.parametrize("made", CYCLES)
def test_the_arguments_of_a_referenced_coroutine_are_not_collected(exported, rust, made):
    holder = Holder()
    holder.gate = rust.Gate()
    holder.itself = holder
    gone = weakref.ref(holder)
    coroutine = CYCLES[made](exported, holder)
    del holder
    for _ in range(3):
        gc.collect()
    assert gone().itself is gone()
    coroutine.close()
    gc.collect()
    assert gone() is None


def test_a_method_can_take_and_return_the_object_itself(exported, run):
    shared = exported.Shared("x")
    assert run(shared.itself()) is shared


def test_a_class_method_makes_an_object_asynchronously(exported, run):
    assert run(exported.Shared.connect("called")).plain() == "called"

    class Sub(exported.Shared):
        pass

    assert run(Sub.connect(None)).plain() == "Sub"


def test_static_methods_and_calls_are_coroutines(exported, run):
    assert run(exported.Shared.double(21)) == 42
    assert run(exported.Shared("x")(21)) == 42


def test_an_object_is_an_asynchronous_context_manager(exported, run):
    async def main():
        shared = exported.Shared("x")
        async with shared as entered:
            assert entered is shared and shared.calls == 0
        assert shared.calls == 1
        async with shared:
            raise ValueError("swallowed")
        with pytest.raises(KeyError):
            async with shared:
                raise KeyError("passed on")
        assert shared.calls == 3

    run(main())


@pytest.mark.parametrize("numbers", [0, 1, 100])
def test_an_iterator_ends_where_it_returns_none(exported, run, numbers):
    async def main():
        assert [number async for number in exported.UpTo(numbers)] == list(range(numbers))

    run(main())


def test_an_iterator_ends_where_it_raises_stop_async_iteration(exported, run):
    async def main():
        assert [nothing async for nothing in exported.Empty()] == []

    run(main())


def test_a_method_with_mutable_self_borrows_the_object_exclusively(exported, rust, run):
    async def main():
        counter, gate = exported.Counter(), rust.Gate()
        task = asyncio.ensure_future(counter.add(gate))
        await asyncio.sleep(0)
        busy = r"^Counter\.add has the object for itself \(`&mut self`\) until it is done, and another call that is not done uses it"
        with pytest.raises(RuntimeError, match=busy):
            counter.add(rust.Gate())
        with pytest.raises(RuntimeError, match=r"^Counter\.read reads the object \(`&self`\) until it is done"):
            counter.read(rust.Gate())
        with pytest.raises(RuntimeError, match="^Already mutably borrowed$"):
            counter.count
        gate.open(None)
        assert await task == 1
        assert counter.count == 1
        assert await counter.add_now() == 2

    run(main())


def test_a_pending_eager_method_borrows_the_object_until_it_ends(exported, rust, run):
    async def main():
        counter, gate = exported.Counter(), rust.Gate()

        async def started(gate):
            task = asyncio.ensure_future(counter.add_soon(gate))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match=r"^Counter\.add_now has the object for itself"):
                counter.add_now()
            return task

        task = await started(gate)
        gate.open(None)
        assert await task == 1
        assert await counter.add_now() == 2
        task = await started(rust.Gate())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await counter.add_now() == 3

    run(main())


def test_methods_with_shared_self_run_together_and_prevent_mutation(exported, rust, run):
    async def main():
        counter, gates = exported.Counter(), [rust.Gate() for _ in range(2)]
        tasks = [asyncio.ensure_future(counter.read(gate)) for gate in gates]
        with pytest.raises(RuntimeError, match="^Already borrowed$"):
            counter.count = 5
        with pytest.raises(RuntimeError, match=r"^Counter\.add_now has the object for itself"):
            counter.add_now()
        for gate in gates:
            gate.open(None)
        assert await asyncio.gather(*tasks) == [0, 0]
        counter.count = 5
        assert await counter.add_now() == 6

    run(main())


def test_closing_or_dropping_a_coroutine_releases_the_object(exported, rust):
    counter, gate = exported.Counter(), rust.Gate()
    counter.add(gate).close()
    counter.count = 1
    coroutine = counter.add(rust.Gate())
    with pytest.warns(RuntimeWarning, match="coroutine 'Counter.add' was never awaited"):
        del coroutine
        gc.collect()
    counter.count = 2


def test_a_cancelled_task_releases_the_object_before_its_awaiter_resumes(exported, rust, run):
    async def main():
        counter = exported.Counter()
        for expected in range(1, 21):
            task = asyncio.ensure_future(counter.add(rust.Gate()))
            for _ in range(expected % 4):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await counter.add_now() == expected

    run(main())


@pytest.mark.parametrize("raises", [False, True])
def test_a_cancellation_in_the_last_poll_of_a_borrowing_method_is_not_lost(exported, rust, run, raises):
    async def main():
        counter, gate, accepted = exported.Counter(), rust.Gate(), []

        def call():
            accepted.append(task.cancel())
            if raises:
                raise LookupError
            return "value"

        task = asyncio.ensure_future(counter.add_and_call(gate, call))
        while not gate.polls:
            await asyncio.sleep(0)
        gate.open(None)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert accepted == [True] and task.cancelled()
        assert await counter.add_now() == 2

    run(main())


@pytest.mark.parametrize("method", ["add", "read", "count_cancellations"])
@pytest.mark.parametrize("end", ENDS)
def test_ending_a_suspended_coroutine_releases_the_object(exported, rust, run, end, method):
    async def main():
        counter = exported.Counter()
        for expected in range(1, 21):
            # Not in a local variable: up to Python 3.10, a profiler's copy of the locals would keep the coroutine.
            kept = [getattr(counter, method)(rust.Gate())]
            kept[0].send(None)
            # After no turns the loop is about to poll the future. After some the future is idle.
            for _ in range(expected % 4):
                await asyncio.sleep(0)
            ENDS[end](kept[0])
            kept.clear()
            assert await counter.add_now() == expected

    run(main())


def test_a_poll_that_closes_its_own_coroutine_releases_the_object_when_it_returns(exported, rust, run):
    async def main():
        counter, gate, closed = exported.Counter(), rust.Gate(), asyncio.Event()
        coroutine = counter.add_and_call(gate, lambda: (coroutine.close(), closed.set()))
        coroutine.send(None)
        gate.open(None)
        await closed.wait()
        assert counter.count == 1
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED

    run(main())


def test_a_generator_ended_inside_a_borrowing_method_can_use_the_object(exported, rust, run):
    async def main():
        counter = exported.Counter()

        async def generator(gate):
            try:
                while True:
                    yield await counter.add(gate)
            finally:
                counter.count = 5
                ended.append(await counter.add_now())

        for polled in (False, True) * 50:
            ended, gate = [], rust.Gate()
            suspended = generator(gate)
            step = suspended.asend(None)
            step.send(None)
            while polled and not gate.polls:
                await asyncio.sleep(0)
            with pytest.raises(GeneratorExit):
                # `aclose()` is refused while the generator is in a step.
                step.throw(GeneratorExit)
            await suspended.aclose()
            assert ended == [6]

    run(main())


def test_a_timeout_releases_the_object(exported, rust, run):
    async def main():
        counter = exported.Counter()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(counter.add(rust.Gate()), 0.001)
        assert await counter.add_now() == 1

    run(main())


def test_a_method_with_a_cancel_handle_keeps_the_object_after_a_cancellation(exported, rust, run):
    async def main():
        counter, gate = exported.Counter(), rust.Gate()
        task = asyncio.ensure_future(counter.count_cancellations(gate))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="has the object for itself"):
            counter.add_now()
        gate.open(None)
        assert await task == 1
        assert counter.count == 1

    run(main())


# Streams


def test_a_function_that_returns_a_stream_gives_an_async_generator(run, exported):
    async def main():
        generator = exported.countdown()
        assert inspect.isasyncgen(generator)
        assert (generator.__name__, generator.__qualname__) == ("countdown", "countdown")
        assert [number async for number in generator] == [2, 1, 0]
        assert [number async for number in exported.countdown(from_=1)] == [0]
        assert [tick async for tick in exported.ticks(3)] == [None] * 3
        with pytest.raises(TypeError, match="integer"):
            exported.countdown("three")

    run(main())
    assert exported.countdown.__doc__.startswith("Counts down")
    assert [str(it) for it in inspect.signature(exported.countdown).parameters.values()] == ["from_: int = 3"]


@pytest.mark.parametrize("soon", [False, True])
def test_the_errors_of_a_stream_and_of_the_function_that_returns_it_are_raised(run, exported, soon):
    async def main():
        got = []
        with pytest.raises(ValueError, match="text"):
            async for item in exported.rejecting("text", soon):
                got.append(item)
        return got

    assert run(main()) == ([] if soon else ["text"])


def test_a_method_that_returns_a_stream_lends_it_the_object(run, rust, exported):
    async def main():
        shared = exported.Shared("name")
        letters = shared.letters()
        assert letters.__qualname__ == "Shared.letters"
        gate = rust.Gate()
        waiting = asyncio.ensure_future(rest(shared.some_letters(gate)))
        assert [name async for name in shared] == ["name"] * 2
        gone = weakref.ref(shared)
        del shared
        assert [letter async for letter in letters] == ["n", "a", "m", "e"]
        assert gone() is not None
        gate.open(2)
        assert await waiting == ["n", "a"]
        del waiting
        while gone() is not None:
            await asyncio.sleep(0)
        return [number async for number in exported.Shared.of([1, 2])]

    async def rest(generator):
        return [item async for item in generator]

    assert run(main()) == [1, 2]


def test_a_cycle_through_the_argument_of_a_stream_is_collected_before_the_first_item(run, exported):
    class Holder:
        pass

    async def main():
        holder = Holder()
        holder.generator = exported.only(holder)
        gone = weakref.ref(holder)
        del holder
        gc.collect()
        assert gone() is None
        holder = Holder()
        assert [item async for item in exported.only(holder)] == [holder]

    run(main())

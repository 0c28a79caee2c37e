"""What `#[pyfunction]` and `#[pymethods]` make of an `async fn`: in Python it is an `async def`."""

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import os
import weakref

import pytest


@pytest.fixture
def exported(rust):
    """What the attributes have exported, on the runtime that this process is about."""
    runtime = os.environ.get("PYTESTS_RUNTIME", "tokio")
    return getattr(rust, runtime.replace("_current_thread", ""))


def test_an_async_fn_gives_a_coroutine(exported, run):
    coroutine = exported.add(1)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert run(coroutine) == 6


def test_a_signature_has_positional_and_keyword_parameters_and_defaults(exported, run):
    assert str(inspect.signature(exported.add)) == "(a, /, b=2, *, c=3)"
    assert run(exported.add(1, b=10, c=100)) == 111


def test_the_documentation_is_the_docstring(exported):
    assert exported.add.__doc__ == "Adds, which it need not be asynchronous for."
    assert exported.Shared.pass_through.__doc__ == "Waits for the gate."


@pytest.mark.parametrize("call", ["add()", "add('one')", "add(1, 2, 3)", "add(1, d=4)", "Shared.double([])", "Shared('x').pass_through(1)"])
def test_an_argument_that_does_not_fit_is_a_type_error_at_the_call(exported, call):
    with pytest.raises(TypeError):
        eval(call, vars(exported))


def test_the_error_of_an_argument_names_the_function_by_its_python_name(exported):
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


def test_a_function_has_the_name_and_the_text_signature_that_it_was_given(exported, rust):
    assert exported.public_name.__name__ == "public_name"
    assert exported.public_name.__text_signature__ == "(whatever)"
    assert not hasattr(rust, "private_name")


def test_nothing_is_none(exported, run):
    assert run(exported.nothing()) is None
    assert run(exported.nothing_or_error(False)) is None
    with pytest.raises(ValueError, match="^an error$"):
        run(exported.nothing_or_error(True))


def test_the_error_of_a_library_is_what_it_converts_to(exported, run):
    assert run(exported.reject("")) == 0
    with pytest.raises(ValueError, match="^nonsense$"):
        run(exported.reject("nonsense"))


def test_a_result_by_another_name_is_a_result(exported, run):
    assert run(exported.reply(type="text")) == "text"


def test_rust_calls_an_exported_function_as_any_other(exported, run):
    assert run(exported.add_twice(5)) == 7


def test_a_function_is_passed_its_module_and_all_other_arguments(exported, run):
    module, *arguments = run(exported.everything(1, 2, three=3))
    assert module.everything is exported.everything
    assert arguments == [(1, 2), {"three": 3}]
    assert run(exported.everything())[1:] == ((), None)


def test_an_argument_is_converted_by_the_function_it_names(exported, run):
    assert run(exported.length_of("four")) == 4
    with pytest.raises(TypeError):
        exported.length_of(4)


def test_a_module_that_declares_its_functions_has_those_of_the_attribute(exported, run):
    assert run(exported.inline.declared()) == "inline"


def test_the_future_sees_the_runtime_and_the_context_of_the_task_that_awaits(exported, run):
    variable = contextvars.ContextVar("variable", default="outside")

    async def main():
        coroutine = exported.surroundings(variable)
        variable.set("inside")
        assert await coroutine == (asyncio.get_running_loop(), "inside")

    run(main())


def test_nothing_runs_before_it_is_awaited(exported, rust, run):
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


def test_a_cancel_handle_is_no_parameter_of_pythons(exported):
    assert str(inspect.signature(exported.pass_or_clean_up)) == "(gate, clean, log)"
    assert str(inspect.signature(exported.Counter.count_cancellations)) == "(self, /, gate)"


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


def test_an_eager_function_is_first_polled_by_the_thread_that_awaits(exported, run):
    async def main():
        assert await exported.eager_polling_thread() == exported.this_thread()
        assert await exported.polling_thread() != exported.this_thread()
        assert await exported.Shared("method").greet("hi") == f"hi, method on {exported.this_thread()}"

    run(main())


def test_plain_methods_constructors_getters_and_constants_are_as_pyo3_makes_them(exported):
    shared = exported.Shared("name")
    assert (shared.plain(), shared.calls, exported.Shared.ANSWER) == ("name", 0, 42)


def test_methods_of_a_frozen_class_run_side_by_side(exported, rust, run):
    async def main():
        shared, gates = exported.Shared("x"), [rust.Gate() for _ in range(3)]
        tasks = [asyncio.ensure_future(shared.pass_through(gate)) for gate in gates]
        for number, gate in reversed(list(enumerate(gates))):
            gate.open(number)
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        assert shared.calls == 3

    run(main())


def test_a_coroutine_keeps_its_object_alive_and_lets_go_of_it(exported, rust, run):
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


def test_a_method_that_changes_the_object_has_it_for_itself(exported, rust, run):
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


def test_methods_that_read_the_object_share_it_and_keep_it_from_changing(exported, rust, run):
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


def test_a_coroutine_that_is_closed_or_dropped_gives_the_object_back(exported, rust):
    counter, gate = exported.Counter(), rust.Gate()
    counter.add(gate).close()
    counter.count = 1
    coroutine = counter.add(rust.Gate())
    with pytest.warns(RuntimeWarning, match="coroutine 'Counter.add' was never awaited"):
        del coroutine
        gc.collect()
    counter.count = 2


def test_a_cancelled_task_has_given_the_object_back_when_python_goes_on(exported, rust, run):
    async def main():
        counter = exported.Counter()
        for expected in range(1, 301):
            task = asyncio.ensure_future(counter.add(rust.Gate()))
            for _ in range(expected % 4):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await counter.add_now() == expected

    run(main())


def test_a_time_limit_gives_the_object_back(exported, rust, run):
    async def main():
        counter = exported.Counter()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(counter.add(rust.Gate()), 0.001)
        assert await counter.add_now() == 1

    run(main())


def test_a_method_with_a_cancel_handle_goes_on_with_the_object(exported, rust, run):
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

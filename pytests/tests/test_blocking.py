"""`blocking = "name"`: a second, synchronous function of the same Rust function.

https://github.com/eclipse-zenoh/zenoh-python/issues/34, https://github.com/delta-io/delta-rs/pull/1315,
https://github.com/huggingface/tokenizers/issues/1797
"""

import asyncio
import gc
import inspect
import threading
import types
import weakref

import pytest
from leftovers import eventually


@pytest.fixture(params=["outside of a loop", "inside of a running loop"])
def call(request, run):
    """Calls a function, with or without a loop that runs in this thread."""

    def inside(function, *arguments):
        async def main():
            return function(*arguments)

        return run(main())

    return inside if request.param.startswith("inside") else lambda function, *arguments: function(*arguments)


def test_the_second_function_returns_what_awaiting_the_first_one_does(exported, call):
    assert call(exported.add_now, 1) == 6
    assert call(exported.nothing_now) is None
    assert call(exported.reject_now, "") == 0
    with pytest.raises(ValueError, match="^text$"):
        call(exported.reject_now, "text")


def test_both_functions_have_the_same_signature_and_documentation(exported):
    assert str(inspect.signature(exported.add_now)) == "(a, /, b=2, *, c=3)"
    assert exported.add_now(1, b=10, c=100) == 111
    assert exported.add_now.__name__ == "add_now"
    assert exported.add_now.__doc__ == exported.add.__doc__ == "Adds three numbers."
    assert exported.public_name_now.__text_signature__ == "(whatever)"
    with pytest.raises(TypeError, match=r"^add_now\(\) got an unexpected keyword argument 'd'$"):
        exported.add_now(1, d=4)
    assert exported.everything_now(1, two=2) == (exported, (1,), {"two": 2})


def test_a_declared_module_has_both_functions(exported):
    assert exported.inline.declared_now() == "inline"
    assert exported.inline.declared_now.__module__ == exported.inline.declared.__module__


def test_wrap_pyfunction_gives_either_function(rust):
    first, second = rust.wrapped_functions()
    assert (first.__name__, second.__name__) == ("delayed", "delayed_now")
    assert asyncio.run(first(1)) == second(1) == 1


def test_a_method_that_blocks_has_every_kind_of_receiver(exported, rust, call):
    shared = exported.Shared("name")
    assert call(shared.greet_now, "hi").startswith("hi, name on ")
    assert call(shared.itself_now) is shared
    assert call(exported.Shared.connect_now, None).plain() == "Shared"
    assert call(exported.Shared.double_now, 2) == 4
    gates = [rust.Gate(), rust.Gate()]
    for gate in gates:
        gate.open(None)
    counter = exported.Counter()
    assert call(counter.add_blocking, gates[0]) == 1
    assert call(counter.read_blocking, gates[1]) == 1


def test_a_method_that_blocks_borrows_its_object_until_it_returns(exported, rust):
    counter, gate, opened = exported.Counter(), rust.Gate(), rust.Gate()
    opened.open(None)
    thread = threading.Thread(target=counter.add_blocking, args=(gate,))
    thread.start()
    assert eventually(lambda: gate.polls)
    with pytest.raises(RuntimeError, match=r"^Counter\.read_blocking reads the object"):
        counter.read_blocking(opened)
    gate.open(None)
    thread.join()
    assert counter.read_blocking(opened) == 1


def test_a_class_can_be_a_context_manager_of_both_kinds(exported, call):
    shared = exported.Shared("name")

    def enter():
        with shared as entered:
            assert entered is shared
            raise ValueError("suppressed")

    call(enter)
    assert shared.calls == 1
    with pytest.raises(KeyError), shared:
        raise KeyError


def test_a_class_can_be_an_iterator_of_both_kinds(exported, call):
    assert call(list, exported.UpTo(3)) == [0, 1, 2]
    iterator = exported.UpTo(0)
    with pytest.raises(StopIteration):
        next(iterator)
    assert call(list, exported.Shared("name")) == ["name", "name"]


def test_a_stream_gives_a_generator(exported, call):
    generator = exported.countdown_now(3)
    assert isinstance(generator, types.GeneratorType)
    assert (generator.__name__, generator.__qualname__) == ("countdown_now", "countdown_now")
    assert call(list, generator) == [2, 1, 0]
    assert next(generator, "the end") == "the end"
    assert exported.Shared("name").letters_now().__qualname__ == "Shared.letters_now"
    assert call(list, exported.Shared("name").letters_now()) == list("name")


def test_a_generator_may_be_used_inside_of_a_loop_and_outside(exported, run):
    generator = exported.countdown_now(4)

    async def main():
        return [next(generator), next(generator)]

    assert [next(generator), *run(main()), next(generator)] == [3, 2, 1, 0]


def test_an_error_ends_the_generator_after_the_items_before_it(exported, call):
    generator = exported.rejecting_now("text", False)
    assert call(next, generator) == "text"
    with pytest.raises(ValueError, match="^text$"):
        call(next, generator)
    assert list(generator) == []
    with pytest.raises(ValueError, match="^text$"):
        next(exported.rejecting_now("text", True))


@pytest.mark.parametrize("end", ["close", "drop", "throw", "exhaust"])
def test_a_generator_that_ends_drops_the_stream_at_once(exported, rust, call, end):
    before = rust.dropped()
    generator = exported.countdown_now(3)
    call(next, generator)
    assert rust.dropped() == before
    if end == "close":
        call(generator.close)
    elif end == "throw":
        with pytest.raises(LookupError):
            call(generator.throw, LookupError())
    elif end == "exhaust":
        call(list, generator)
    del generator
    assert rust.dropped() == before + 1


@pytest.mark.parametrize("end", ["close", "drop", "collect", "exhaust"])
def test_a_stream_is_dropped_inside_of_the_context_of_the_runtime(rust, end):
    drops = []
    generator = rust.needs_runtime_now(drops)
    next(generator)
    if end == "close":
        generator.close()
    elif end == "exhaust":
        list(generator)
    elif end == "collect":
        cycle = [generator]
        cycle.append(cycle)
        del cycle
    del generator
    gc.collect()
    assert drops == ["in the runtime"]


def test_the_collector_sees_the_arguments_of_a_generator_that_has_not_started(exported):
    class Node:
        pass

    node = Node()
    node.generator = exported.only_now(node)
    is_alive = weakref.ref(node)
    del node
    gc.collect()
    assert is_alive() is None


def test_a_generator_belongs_to_one_thread_at_a_time(exported, rust):
    gate = rust.Gate()
    generator = exported.Shared("name").some_letters_now(gate)
    thread = threading.Thread(target=next, args=(generator,))
    thread.start()
    assert eventually(lambda: gate.polls)
    with pytest.raises(ValueError, match="already executing"):
        next(generator)
    gate.open(2)
    thread.join()
    assert list(generator) == ["a"]


def test_a_stream_may_await_an_async_generator(exported, call):
    async def numbers():
        try:
            for number in range(4):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            ended.set()

    for end in [list, lambda generator: [next(generator), generator.close(), 0][:1]]:
        ended = threading.Event()
        assert call(end, exported.relayed_now(numbers)) == [0, 1, 2, 3][: 4 if end is list else 1]
        # The clean-up runs on the background loop.
        assert ended.wait(60)

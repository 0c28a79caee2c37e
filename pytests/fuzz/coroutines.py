"""A Rust coroutine beside an `async def`, with the operations of `test_coroutine_model.py`."""

import test_coroutine_model as model

OPERATIONS = [*model.OPERATIONS, ("collect", None)]
SUBJECTS = model.Native, model.Rust


async def play(subject, operations):
    return await model.play(subject, operations, collect_between=False)

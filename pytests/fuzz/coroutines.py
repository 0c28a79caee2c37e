"""A coroutine of Rust beside an `async def`, under the operations of the model's own test."""

import test_coroutine_model as model

OPERATIONS = [*model.OPERATIONS, ("collect", None)]
SUBJECTS = model.Native, model.Rust


async def play(subject, operations):
    return await model.play(subject, operations, collect_between=False)

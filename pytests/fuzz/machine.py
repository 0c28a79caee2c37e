"""Decodes bytes into operations and compares the results of both subjects."""

import asyncio
import gc

from test_model import plain

# Longer inputs repeat themselves.
LONGEST = 40


class Difference(AssertionError):
    """The model and its counterpart give different answers to an input."""

    def __init__(self, text, data):
        super().__init__(text)
        self.data = data


class Machine:
    """Applies the operations of a byte string to a model and to its counterpart, on one loop.

    `module` has the operations, the two subjects, and the function `play`.
    """

    def __init__(self, module, rust, loop):
        self.module, self.rust, self.loop, self.told = module, rust, loop, []
        loop.set_exception_handler(self._hear)

    def decode(self, data):
        """Decodes each byte into an operation. Every byte is valid."""
        return [self.module.OPERATIONS[byte % len(self.module.OPERATIONS)] for byte in data[:LONGEST]]

    def play(self, data):
        """Plays an input. Returns each operation with the state before and after it.

        Raises `Difference`.
        """
        operations = self.decode(data)
        model, heard_of_model = self._play(self.module.SUBJECTS[0], operations)
        ours, heard_of_ours = self._play(self.module.SUBJECTS[1], operations)
        for expected, came in zip(model, ours):
            if expected != came:
                raise Difference(f"{expected[:2]} gave\n    {came[2]}, expected\n    {expected[2]}", data)
        if heard_of_model != heard_of_ours:
            raise Difference(f"the exception handler got\n    {heard_of_ours}, expected\n    {heard_of_model}", data)
        states = ["", *(str(step[2]) for step in model)]
        return {(before, step[:2], after) for before, step, after in zip(states, model, states[1:])}

    def _play(self, subject, operations):
        async def main():
            return await self.module.play(subject(self.rust), operations)

        self.told.clear()
        record = self.loop.run_until_complete(main())
        # The drop of an unretrieved error reports it, and the loop runs the report.
        gc.collect(0)
        self.loop.run_until_complete(asyncio.sleep(0))
        return record, sorted(self.told)

    def _hear(self, loop, context):
        # A handle of the loop and the mailbox print a callback differently.
        message = plain(context["message"]).partition(" callback ")[0]
        self.told.append((message, type(context.get("exception")).__name__))

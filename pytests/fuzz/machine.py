"""From bytes to operations, and from operations to a verdict."""

import asyncio
import gc

from test_model import plain

# Longer inputs repeat themselves.
LONGEST = 40


class Difference(AssertionError):
    """The model and its counterpart do not answer the same to an input."""

    def __init__(self, text, data):
        super().__init__(text)
        self.data = data


class Machine:
    """Plays to a model and to its counterpart what a byte string says, on one loop.

    `module` has the operations, the two subjects, and what plays the former to one of the latter.
    """

    def __init__(self, module, rust, loop):
        self.module, self.rust, self.loop, self.told = module, rust, loop, []
        loop.set_exception_handler(self._hear)

    def decode(self, data):
        """A byte is an operation: whatever there is in it, it is one."""
        return [self.module.OPERATIONS[byte % len(self.module.OPERATIONS)] for byte in data[:LONGEST]]

    def play(self, data):
        """What the input has shown: each operation with where it was done and what came of it.

        Raises `Difference`.
        """
        operations = self.decode(data)
        model, heard_of_model = self._play(self.module.SUBJECTS[0], operations)
        ours, heard_of_ours = self._play(self.module.SUBJECTS[1], operations)
        for expected, came in zip(model, ours):
            if expected != came:
                raise Difference(f"{expected[:2]} came to\n    {came[2]}, and not to\n    {expected[2]}", data)
        if heard_of_model != heard_of_ours:
            raise Difference(f"the loop was told\n    {heard_of_ours}, and not\n    {heard_of_model}", data)
        states = ["", *(str(step[2]) for step in model)]
        return {(before, step[:2], after) for before, step, after in zip(states, model, states[1:])}

    def _play(self, subject, operations):
        async def main():
            return await self.module.play(subject(self.rust), operations)

        self.told.clear()
        record = self.loop.run_until_complete(main())
        # What nobody asked about is told when it is dropped, and that to a loop that runs.
        gc.collect(0)
        self.loop.run_until_complete(asyncio.sleep(0))
        return record, sorted(self.told)

    def _hear(self, loop, context):
        # How a callback is printed is up to who ran it: a handle of the loop, or the mailbox.
        message = plain(context["message"]).partition(" callback ")[0]
        self.told.append((message, type(context.get("exception")).__name__))

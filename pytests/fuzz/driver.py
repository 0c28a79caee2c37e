"""A fuzzer: it mutates inputs at random, and keeps and mutates those that show something new."""

from machine import LONGEST, Difference


class Fuzzer:
    """Feeds a machine, whose states tell what is new. Python cannot measure the coverage of Rust."""

    def __init__(self, machine, corpus, choose):
        self.machine, self.choose = machine, choose
        self.inputs, self.seen, self.played = [], set(), 0
        for data in [b"", *corpus]:
            self.play(data)

    def step(self):
        """Plays one more input. Raises `Difference` with the failing input, minimized."""
        data = self._changed(self.choose.choice(self.inputs))
        try:
            self.play(data)
        except Difference:
            raise self._shortest(data) from None

    def play(self, data):
        self.played += 1
        new = self.machine.play(data) - self.seen
        if new or not self.inputs:
            self.seen |= new
            self.inputs.append(data)

    def _changed(self, data):
        data = bytearray(data)
        for _ in range(self.choose.randrange(1, 5)):
            at = self.choose.randrange(len(data) + 1)
            change = self.choose.randrange(4)
            if change == 0:
                other = self.choose.choice(self.inputs)
                data[at:] = other[self.choose.randrange(len(other) + 1) :]
            elif change == 1:
                del data[at : at + self.choose.randrange(1, 4)]
            else:
                data[at : at + change - 2] = bytes([self.choose.randrange(256)])
        return bytes(data[:LONGEST])

    def _shortest(self, data):
        """Removes operations one by one while the input still fails."""
        shortest = self._difference(data)
        if shortest is None:
            return Difference("the failure does not repeat: it is random, or it depends on earlier inputs", data)
        at = 0
        while at < len(shortest.data):
            shorter = self._difference(shortest.data[:at] + shortest.data[at + 1 :])
            if shorter is None:
                at += 1
            else:
                shortest = shorter
        return shortest

    def _difference(self, data):
        try:
            self.machine.play(data)
        except Difference as difference:
            return difference

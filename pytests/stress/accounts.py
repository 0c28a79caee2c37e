"""Who waits for an outcome, and which one came."""

from collections import Counter


class Account:
    """The tickets of one loop: each is closed exactly once, by whatever thread, with an outcome that it may have.

    Threads only ever append here: the collector can end a coroutine in any thread, also in the middle of this code.
    """

    def __init__(self):
        self._opened, self._closed = [], []

    def open(self, kind):
        """A ticket, for somebody who waits from now on."""
        ticket = [kind]
        self._opened.append(ticket)
        return ticket

    def close(self, ticket, outcome, allowed):
        """The ticket's outcome has come. `allowed` holds those that it may have."""
        self._closed.append((ticket, outcome, outcome in allowed))

    def waiting(self):
        """What those wait for who have no outcome yet."""
        closed = {id(ticket) for ticket, _, _ in self._closed}
        return [ticket[0] for ticket in self._opened if id(ticket) not in closed]

    def totals(self):
        """How often each kind came to each outcome."""
        return Counter((ticket[0], outcome) for ticket, outcome, _ in self._closed)

    def findings(self):
        """What must not be, in sentences."""
        closings = Counter(id(ticket) for ticket, _, _ in self._closed)
        for ticket in self._opened:
            if closings[id(ticket)] != 1:
                yield f"`{ticket[0]}` got {closings[id(ticket)]} outcomes instead of one"
        for ticket, outcome, allowed in self._closed:
            if not allowed:
                yield f"`{ticket[0]}` ended with {outcome!r}, which it cannot"

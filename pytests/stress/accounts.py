"""Records the awaits and their outcomes."""

from collections import Counter


class Account:
    """The tickets of one loop. Some thread closes each ticket exactly once, with an allowed outcome.

    Threads only append here: the collector can end a coroutine in any thread, even in the middle of this code.
    """

    def __init__(self):
        self._opened, self._closed = [], []

    def open(self, kind):
        """Opens a ticket for an await that starts now."""
        ticket = [kind]
        self._opened.append(ticket)
        return ticket

    def close(self, ticket, outcome, allowed):
        """Closes a ticket with its outcome, which should be one of `allowed`."""
        self._closed.append((ticket, outcome, outcome in allowed))

    def waiting(self):
        """The kinds of the awaits that have no outcome yet."""
        closed = {id(ticket) for ticket, _, _ in self._closed}
        return [ticket[0] for ticket in self._opened if id(ticket) not in closed]

    def totals(self):
        """How often each kind had each outcome."""
        return Counter((ticket[0], outcome) for ticket, outcome, _ in self._closed)

    def findings(self):
        """The violations, as sentences."""
        closings = Counter(id(ticket) for ticket, _, _ in self._closed)
        for ticket in self._opened:
            if closings[id(ticket)] != 1:
                yield f"`{ticket[0]}` got {closings[id(ticket)]} outcomes instead of one"
        for ticket, outcome, allowed in self._closed:
            if not allowed:
                yield f"`{ticket[0]}` ended with {outcome!r}, which it cannot"

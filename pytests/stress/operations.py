"""What can be done with the bridge.

An operation is a coroutine function of a desk and of random numbers of its own. It opens a ticket for everyone who waits.
"""

_OPERATIONS = {}


def operation(weight):
    """Has a function among the operations, so often compared with the others."""

    def register(function):
        _OPERATIONS[function] = weight
        return function

    return register


def choose_operation(choose):
    return choose.choices(list(_OPERATIONS), list(_OPERATIONS.values()))[0]

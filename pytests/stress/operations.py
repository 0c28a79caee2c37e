"""The register of operations.

An operation is a coroutine function that takes a desk and a random generator. It opens a ticket for each await.
"""

_OPERATIONS = {}


def operation(weight):
    """Registers a function as an operation, with its relative frequency."""

    def register(function):
        _OPERATIONS[function] = weight
        return function

    return register


def choose_operation(choose):
    return choose.choices(list(_OPERATIONS), list(_OPERATIONS.values()))[0]

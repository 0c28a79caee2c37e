"""An ASGI server: hyper speaks HTTP, and Rust and Python share the thread of the event loop."""

from ._serve import ClientDisconnected, new_event_loop

__all__ = ["ClientDisconnected", "new_event_loop"]

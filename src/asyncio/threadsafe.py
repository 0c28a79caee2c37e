def call_soon_threadsafe(loop, callback):
    # In debug mode, uvloop asks for the frame that calls it. CPython 3.15 reads invalid memory if no Python function runs.
    loop.call_soon_threadsafe(callback)

"""What a process holds, where the system tells."""

import os
import time


def descriptors():
    """The open file descriptors of this process and what they are."""
    try:
        numbers = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return {}
    found = {}
    for number in numbers:
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            pass  # It was the one that the listing itself used.
    return found


def threads():
    """The threads of this process, Rust's too."""
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:
        return 0


def resident_bytes():
    """The memory of this process, Rust's too."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def eventually(is_true):
    """Whether something becomes true that the system, not we, brings about: a thread that ended leaves its table late."""
    deadline = time.monotonic() + 10
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True

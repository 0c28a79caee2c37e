"""Measures what a process holds, on systems that report it."""

import os
import time


def descriptors():
    """The open file descriptors of this process, with their targets."""
    try:
        numbers = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return {}
    found = {}
    for number in numbers:
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            pass  # This descriptor belonged to the listing itself.
    return found


def threads():
    """The number of threads of this process, including those of Rust."""
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:
        return 0


def resident_bytes():
    """The resident memory of this process, including that of Rust."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return 0


def eventually(is_true):
    """Waits for a condition that the system makes true, such as the removal of an ended thread. Returns whether it became true."""
    deadline = time.monotonic() + 10
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True

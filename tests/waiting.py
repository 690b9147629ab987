"""Waiting for something that comes by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str = "", within_s: float = 60.0, every_s: float = 0.1) -> T:
    """What the condition gives once that is true; the test fails if it does not become true in time.

    What lasts is looked at more and more rarely, but each `every_s`.
    """
    begun_at = time.monotonic()
    while not (result := condition()):
        waited_s = time.monotonic() - begun_at
        assert waited_s < within_s, f"not within {within_s:g} s: {what or 'what the test waits for'}"
        time.sleep(min(every_s, 0.005 + waited_s / 20))
    return result

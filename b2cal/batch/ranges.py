"""Thousands of numbers in few words: `0-9999`, or `3 7 12-15`."""

from collections.abc import Iterable, Sequence


def in_ranges(numbers: Iterable[int]) -> list[str]:
    """Numbers that follow each other become one word; the order stays."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{first}-{last}" if last > first else str(first) for first, last in runs]


def from_ranges(words: Sequence[str]) -> list[int]:
    """The numbers in their order.

    Raises:
        ValueError: a word is none of `in_ranges`.
    """
    numbers: list[int] = []
    for word in words:
        first, _, last = word.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers

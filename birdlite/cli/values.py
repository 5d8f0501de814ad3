"""What the values of options look like in text: counts, seconds, sizes, fractions. Used by `options`."""

from __future__ import annotations

from collections.abc import Callable

SIZE_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def convert(text: str) -> int:
        if not text.strip().isascii() or not text.strip().isdigit():
            raise ValueError("not a whole number")
        number = int(text)
        if not minimum <= number <= maximum:
            raise ValueError(f"must be between {minimum} and {maximum}")
        return number

    return convert


def seconds(text: str) -> float:
    """A time in s, above 0 and at most a day."""
    number = _number(text)
    if not 0 < number <= 86400:
        raise ValueError("must be above 0 and at most 86400 seconds")
    return number


def fraction(text: str) -> float:
    """A number in [0, 1]."""
    number = _number(text)
    if not 0 <= number <= 1:
        raise ValueError("must be between 0 and 1")
    return number


def pair(text: str) -> tuple[float, float]:
    """Two numbers, the smaller one first."""
    low, _, high = text.partition(",")
    numbers = _number(low), _number(high)
    if not -1e6 <= numbers[0] < numbers[1] <= 1e6:
        raise ValueError("must be two numbers such as 0,1, the smaller one first")
    return numbers


def size(text: str) -> int:
    """A number of bytes or pixels, with k, M or G for powers of 1024."""
    body = text.strip().lower()
    unit = body[-1:] if body[-1:] in SIZE_UNITS and not body[-1:].isdigit() else ""
    digits = body.removesuffix(unit)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 15 or int(digits) == 0:
        raise ValueError("not a size such as 500000, 64M or 1G")
    return int(digits) * SIZE_UNITS[unit]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("not a number") from None
    if number != number:
        raise ValueError("not a number")
    return number

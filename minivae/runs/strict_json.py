"""JSON from files that may be damaged or hostile: read within limits and held against a schema.

A schema is a check: a function of a value and of its place ("train.kl_j[2]") that raises JsonFault
where the value is not what it must be. Checks are made of checks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from minivae.messages import cut, shown

DEPTH = 32  # of brackets in brackets
DIGITS = 25  # of a whole number; 2**64 has 20
COUNT = 2**53  # counters stay exact as floats

Check = Callable[[Any, str], None]

# A string, closed or not (possessive, so that no quote is looked at twice), or a bracket.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class JsonFault(ValueError):
    """What is wrong with a JSON text or with a value in it; the file is named by who reads it."""


def parse(data: bytes | str, check: Check | None = None) -> Any:
    """The value that the text stands for. Raises JsonFault where it is not strict JSON.

    Refused are NaN and infinities, a key that comes twice, text that is no UTF-8, whole numbers of
    more than 25 digits and brackets nested deeper than 32; and what `check` refuses.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonFault(f"not JSON: byte {error.start} is no UTF-8") from None
    _limit_depth(text)
    try:
        value = json.loads(
            text,
            parse_int=_whole_number,
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=_without_doubles,
        )
    except json.JSONDecodeError as error:
        raise JsonFault(f"not JSON: {error.msg} at line {error.lineno}, {error.colno}") from None
    if check is not None:
        check(value, "")
    return value


def _limit_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEPTH:
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        first = token[0][0]
        if first == '"':
            continue
        depth += 1 if first in "[{" else -1
        if depth > DEPTH:
            raise JsonFault(f"its brackets are nested deeper than {DEPTH}")


def _whole_number(text: str) -> int:
    if len(text) > DIGITS:
        raise JsonFault(f"a number of {len(text):,} digits, {cut(text, 24)}")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonFault(f"{cut(text, 24)} is no finite number")
    return number


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise JsonFault(f"the key {shown(key, 40)} comes twice")
        found[key] = value
    return found


def require(good: bool, value: Any, place: str, what: str) -> None:
    """Raise JsonFault, naming the place and the value, unless it is `good`."""
    if not good:
        raise JsonFault(f"{place or 'it'} is {shown(value, 40)}, not {what}")


def whole(least: int = 0, most: int = COUNT) -> Check:
    """A whole number within limits."""

    def check(value: Any, place: str) -> None:
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        require(good, value, place, f"a whole number of at least {least}")

    return check


def number(value: Any, place: str) -> None:
    """A finite number."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(good, value, place, "a number")


def text(value: Any, place: str) -> None:
    """Text of any content."""
    require(isinstance(value, str), value, place, "text")


def flag(value: Any, place: str) -> None:
    """True or false."""
    require(isinstance(value, bool), value, place, "true or false")


def hexadecimal(digits: int) -> Check:
    """So many hexadecimal digits, as a checksum has."""
    form = re.compile(f"[0-9a-f]{{{digits}}}")

    def check(value: Any, place: str) -> None:
        good = isinstance(value, str) and form.fullmatch(value) is not None
        require(good, value, place, f"{digits} hexadecimal digits")

    return check


def mapping(value: Any, place: str) -> None:
    """An object with any keys."""
    require(isinstance(value, dict), value, place, "an object {...}")


def optional(inner: Check) -> Check:
    """Null, or what `inner` takes."""
    return lambda value, place: None if value is None else inner(value, place)


def listed(inner: Check) -> Check:
    """A list of what `inner` takes."""

    def check(value: Any, place: str) -> None:
        require(isinstance(value, list), value, place, "a list")
        for i, item in enumerate(value):
            inner(item, f"{place}[{i}]")

    return check


def named(inner: Check) -> Check:
    """An object of which every value is what `inner` takes."""

    def check(value: Any, place: str) -> None:
        mapping(value, place)
        for key, item in value.items():
            inner(item, _below(place, key))

    return check


def record(
    required: Mapping[str, Check], others: Mapping[str, Check] | None = None, *, open_: bool = False
) -> Check:
    """An object with these keys; `others` may be absent, and only an `open_` one has more."""
    known = {**required, **(others or {})}

    def check(value: Any, place: str) -> None:
        mapping(value, place)
        for key in required:
            if key not in value:
                raise JsonFault(f"{_below(place, key)} is missing")
        for key, item in value.items():
            if key in known:
                known[key](item, _below(place, key))
            elif not open_:
                raise JsonFault(f"{_below(place, key)} is unknown")

    return check


def _below(place: str, key: str) -> str:
    name = key if key.isidentifier() and len(key) < 60 else shown(key, 40)
    return f"{place}.{name}" if place else name

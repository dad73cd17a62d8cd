"""Checks of settings: what cannot be is refused in one line that names what is allowed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from minivae.messages import one_line, shown


class ConfigError(ValueError):
    """A configuration that cannot be: the message names the key, its value and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class UnknownPart(ConfigError):
    """A name that no table of parts has: perhaps of a part that has still to be registered."""


def nearest(word: str, known: Iterable[Any]) -> str:
    """A hint " (did you mean 'x'?)", or nothing where no known word is near."""
    match = difflib.get_close_matches(str(word)[:100], [str(k) for k in known], n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""


def require_choice(key: str, value: object, allowed: Iterable[str]) -> None:
    """Raise ConfigError unless the value is one of those allowed."""
    allowed = tuple(allowed)
    if value not in allowed:
        hint = nearest(value, allowed) if isinstance(value, str) else ""
        raise ConfigError(f"{key} = {shown(value)}: must be one of {', '.join(allowed)}{hint}")


def require_int(key: str, value: object, least: int) -> None:
    """Raise ConfigError unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{key} = {shown(value)}: must be a whole number of at least {least}")


def require_number(key: str, value: object, least: float, *, open_: bool = False) -> None:
    """Raise ConfigError unless the value is a finite number ≥ least (> least if `open_`)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]
    good = good and (value > least if open_ else value >= least)  # type: ignore[operator]
    if not good:
        sign = "above" if open_ else "of at least"
        raise ConfigError(f"{key} = {shown(value)}: must be a finite number {sign} {least:g}")


def require_below(key: str, value: Any, limit: float) -> None:
    """Raise ConfigError unless the number is below the limit."""
    if not value < limit:
        raise ConfigError(f"{key} = {shown(value)}: must be below {limit}")


def require_known(values: Mapping[str, Any], config: Any, what: str) -> None:
    """Raise ConfigError on a key that is no field of the configuration, naming the nearest."""
    known = [field.name for field in fields(config)]
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {shown(key)} in {what}{nearest(key, known)}")

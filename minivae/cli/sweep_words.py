"""A sweep's settings as words of the command line, from Python's values or from a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.cli import options


def read_config(path: Path) -> dict[str, Any]:
    """A sweep's settings in a JSON file: {"dataset": …, "grid": {key: […]}, "seeds": …,
    "options": {key: value} or a list of words}. Raises UsageError where it cannot be read."""
    from minivae.runs.strict_json import JsonFault, parse

    known = {"dataset", "grid", "seeds", "options"}
    try:
        values = parse(path.read_bytes())
        for key in values:
            if key not in known:
                raise options.UsageError(
                    f"--config {path}: unknown key {key!r}{options.suggestion(key, known)}"
                )
        grid = [axis_text(key, found) for key, found in object_in(values, "grid").items()]
        given = values.get("options", [])
        listed = isinstance(given, list)
        more = [str(word) for word in given] if listed else words_of(object_in(values, "options"))
        seeds = values.get("seeds", 1)
        if type(seeds) is not int or seeds < 1 or not isinstance(values.get("dataset", ""), str):
            raise TypeError("seeds must be a whole number of at least 1, dataset a name")
    except OSError as fault:
        raise options.UsageError(f"--config {path}: {fault.strerror or fault}") from None
    except (JsonFault, AttributeError, TypeError) as fault:
        raise options.UsageError(f"--config {path}: cannot be read as a sweep ({fault})") from None
    return {**values, "grid": grid, "options": more}


def object_in(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object in the file, an empty one where it is not given; TypeError where it is no object,
    or where a value in it can be no setting."""
    found = values.get(key, {})
    if not isinstance(found, dict):
        raise TypeError(f'{key} must be an object, like {{"beta": [0.5, 1]}}')
    for name, value in found.items():
        many = value if isinstance(value, list) else [value]
        if value == [] or not all(isinstance(one, (str, int, float, list)) for one in many):
            raise TypeError(f"{key}, {name}: {value!r} is no value of a setting")
    return found


def axis_text(key: str, values: Any) -> str:
    """An axis as --grid takes it: a list of values, or a text that is one already."""
    return f"{key}={values}" if isinstance(values, str) else f"{key}={';'.join(map(word, values))};"


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Settings as the command line takes them; True is an option alone, False none."""
    words: list[str] = []
    for key, value in options.items():
        name = key.replace("_", "-")
        if not isinstance(value, bool):
            words += [f"--{name}", word(value)]
        elif value:
            words.append(f"--{name}")
    return words


def word(value: Any) -> str:
    """A value as the command line reads it: (400, 200) is 400,200."""
    if isinstance(value, (tuple, list)):
        return ",".join(str(v) for v in value) or "none"
    return str(value)

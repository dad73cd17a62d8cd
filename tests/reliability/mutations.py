"""Damage to a run's files as Hypothesis draws it: by field of their JSON, by line, and by byte."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

# Values that have hurt some reader once, as JSON's text: not every one is JSON at all.
HOSTILE = (
    "null", "true", "-1", "0", "1", "147", "0.5", "1e-400", "1e308", "1e999", "-1e999", "NaN",
    "Infinity", "9" * 30, "9" * 5000, "-" + "9" * 25, str(2**53), str(2**63), str(2**64), '""',
    '"nan"', '"\\u0000"', '"\\ud800"', '"\\u001b[31m"', '"../../elsewhere/epoch-0001.safetensors"',
    '"' + "x" * 100_000 + '"', "[]", "{}", "[null]", '{"a": 1, "a": 2}', "[" * 5000 + "]" * 5000,
    "[" * 5000, '{"a":' * 3000, '"', "\\", "\ufeff", "01", "+1", "1.", "\x00",
)  # fmt: skip
MARK = "\ue000"  # stands where a hostile text goes, which json.dumps would not write


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every field and item in a JSON value."""
    found = [path] if path else []
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(item, (*path, key))
    return found


@st.composite
def field_mutants(draw: st.DrawFn, text: str) -> str:
    """JSON text with one to three fields removed, renamed, doubled, moved or made hostile."""
    value, hostile = json.loads(text), []
    for _ in range(draw(st.integers(1, 3))):
        found = places(value)
        if not found:
            break
        path = draw(st.sampled_from(found))
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        kind = draw(st.sampled_from(("hostile", "hostile", "number", "remove", "rename", "move")))
        if kind == "hostile":
            parent[path[-1]] = f"{MARK}{len(hostile)}{MARK}"
            hostile.append(draw(st.sampled_from(HOSTILE)))
        elif kind == "number":
            parent[path[-1]] = draw(st.integers(-5, 300) | st.floats(-10, 1e6))
        elif kind == "remove" or not isinstance(parent, dict):
            del parent[path[-1]]
        elif kind == "rename":
            parent[draw(st.text(max_size=8))] = parent.pop(path[-1])
        else:
            value[path[-1]] = parent.pop(path[-1])
    mutant = json.dumps(value)
    for number, words in enumerate(hostile):
        mutant = mutant.replace(json.dumps(f"{MARK}{number}{MARK}"), words)
    return mutant


@st.composite
def byte_mutants(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes cut, changed, removed, doubled, or with others put in between."""
    place = draw(st.integers(0, max(len(data) - 1, 0)))
    size = draw(st.integers(1, 40))
    new = draw(st.binary(min_size=0, max_size=8))
    kind = draw(st.sampled_from(("cut", "flip", "replace", "double", "prepend", "append")))
    if kind == "cut":
        return data[:place]
    if kind == "flip":
        bit = 1 << draw(st.integers(0, 7))
        return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
    if kind == "replace":
        return data[:place] + new + data[place + size :]
    if kind == "double":
        return data[: place + size] + data[place:]
    return new + data if kind == "prepend" else data + new


@st.composite
def log_mutants(draw: st.DrawFn, data: bytes) -> bytes:
    """A log with a line's field damaged, lines exchanged, doubled or lost, or bytes damaged."""
    lines = data.split(b"\n")[:-1]
    kind = draw(st.sampled_from(("field", "field", "bytes", "order", "double", "lose")))
    at = draw(st.integers(0, len(lines) - 1))
    if kind == "bytes":
        return draw(byte_mutants(data))
    if kind == "field":
        mutant = draw(field_mutants(lines[at].decode()))
        lines[at] = mutant.encode("utf-8", "surrogatepass")
    elif kind == "order":
        lines = draw(st.permutations(lines))
    elif kind == "double":
        lines.insert(at, lines[at])
    else:
        del lines[at]
    return b"\n".join(lines) + draw(st.sampled_from((b"\n", b"")))

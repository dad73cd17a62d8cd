"""A worker's side of its channel: commands in, answers and arrays out, by compiled code alone.

A contestant shares the worker's process, and can put something of its own in the place of whatever
is written in Python: of what `json.dumps` and `np.save` call, too. What is used here is compiled,
and was looked up before a contestant's code ran.
"""

from __future__ import annotations

import json
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from minivae.types import Array

_json: Any = json  # its compiled parts have no types
#: text, place -> (value, where it ends); a value that JSON does not know is a TypeError
parse = _json.JSONDecoder().scan_once
encode = _json.encoder.c_make_encoder(
    None, None, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)  # fmt: skip


def written(value: dict[str, Any]) -> bytes:
    """A line of JSON."""
    return "".join((*encode(value, 0), "\n")).encode()


def save(path: str, a: Array) -> list[Any]:
    """Write an array's bytes; what `load` needs to know them again: dtype, shape, sha256."""
    if a.dtype.hasobject:
        raise ValueError("its result holds Python objects, not numbers")
    data = memoryview(a.tobytes())
    told = [a.dtype.str, list(a.shape), sha256(data).hexdigest()]
    with FileIO(path, "w") as file:
        while data:  # a system may write less than it is given
            data = data[file.write(data) :]
    return told


def load(path: Path, told: list[Any]) -> Array:
    """The array that `save` wrote; ValueError where something else wrote there."""
    dtype, shape, digest = told
    data = path.read_bytes()
    if sha256(data).hexdigest() != digest:
        raise ValueError("something else wrote into its answers")
    return np.frombuffer(bytearray(data), np.dtype(dtype)).reshape(shape)

"""The reference ops: pure functions, NumPy only, any dtype. Every backend is held against these.

`table.py` has one record of each; the names here are the functions it lists.
"""

from __future__ import annotations

from typing import Any

from minivae.ops.table import FUNCTIONS, OPS

globals().update({name: record.function for name, record in FUNCTIONS.items()})
__all__ = [*OPS, "OPS"]


def __getattr__(name: str) -> Any:  # only reached for a name that the table does not have
    raise AttributeError(f"there is no op {name!r}")

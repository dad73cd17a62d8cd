"""The reference ops: pure functions, NumPy only, any dtype. Every backend is held against these.

`table.py` has one record of each; the names here are the functions it lists.
"""

from __future__ import annotations

from minivae.ops.table import FUNCTIONS, OPS

globals().update({name: record.function for name, record in FUNCTIONS.items()})
__all__ = [*OPS, "OPS"]  # noqa: PLE0604

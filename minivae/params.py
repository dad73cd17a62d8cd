"""All parameters of a model in one flat buffer, each reachable as a named view.

One buffer makes the optimiser one op, a checkpoint one tensor and a gradient check one vector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from minivae.types import Array

Shape = tuple[int, ...]


class Entry(NamedTuple):
    """Where a tensor lies in the buffer."""

    name: str
    offset: int
    shape: Shape


@dataclass(frozen=True)
class Layout:
    """Names, offsets and shapes of the tensors in a flat buffer, contiguous and in order."""

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> Layout:
        """The layout that puts these tensors one after another."""
        entries, offset = [], 0
        for name, shape in shapes.items():
            entries.append(Entry(name, offset, tuple(shape)))
            offset += math.prod(shape)
        return cls(tuple(entries))

    @property
    def size(self) -> int:
        """The number of scalars in the buffer."""
        return sum(math.prod(entry.shape) for entry in self.entries)

    def views(self, buffer: Array) -> dict[str, Array]:
        """The named tensors of a flat (size,) buffer: views, so writing to one writes to it.

        Raises ValueError if the buffer has another size.
        """
        if buffer.shape != (self.size,):
            raise ValueError(
                f"buffer has shape {buffer.shape}, but the layout needs ({self.size},)"
            )
        return {
            name: buffer[offset : offset + math.prod(shape)].reshape(shape)
            for name, offset, shape in self.entries
        }

    def flatten(self, tensors: Mapping[str, Array], out: Array) -> Array:
        """Copy the named tensors into the flat buffer `out` and return it.

        Raises KeyError if one is missing, ValueError if a shape differs.
        """
        for name, view in self.views(out).items():
            if tensors[name].shape != view.shape:
                raise ValueError(f"{name} has shape {tensors[name].shape}, expected {view.shape}")
            view[...] = tensors[name]
        return out

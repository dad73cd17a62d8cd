"""How a user's own data are to be read: what the options say, checked and kept with the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from typing import Any, Self

from minivae.data.errors import DataError

CHANNELS = (1, 3)  # grey, colour
PASSING = ("split", "own", "columns", "origin")  # of one reading, not of the data
# Values that are read into memory whole take at most so many bytes; a larger .npy is streamed.
MOST_IN_MEMORY = 2 << 30


@dataclass(frozen=True)
class Reading:
    """The options of `load` that say how a user's data are read.

    label: the column (of a table or matrix), by name or number, or the array (of an archive) that
        holds the labels. A number that is given, of Python's or NumPy's, is kept in digits.
    shape: (height, width) or (height, width, 3) of a row seen as a picture; a list is taken too.
    resize: (height, width) to which pictures of a folder are brought; a list is taken too.
    one_hot: spread a table's text columns over columns of 0 and 1.
    standardise: train on (x - mean) / deviation of each column.
    split: hold a tenth of the rows out as `test`, where the data have no test part.
    own: whether the options were given for these very data. False where a run's are handed on to
        other data, which may lack the label, and to which another kind's options do not belong.
    columns: of a run that reads its table again, the names it was trained on, which decide what is
        a name and what is data; () where it knew none. None where nobody has read it yet.
    origin: what the run took out of each of them (of an array's by number) before they became
        float32, so that columns far from 0 keep their differences; they are standardised next.
    """

    label: str | None = None
    shape: tuple[int, ...] | None = None
    resize: tuple[int, int] | None = None
    one_hot: bool = False
    standardise: bool = False
    split: bool = True
    own: bool = True
    columns: tuple[str, ...] | None = None
    origin: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.label is not None:
            object.__setattr__(self, "label", _checked_label(self.label))
        if self.shape is not None:
            object.__setattr__(self, "shape", checked_shape(self.shape))
        if self.resize is not None:
            object.__setattr__(self, "resize", checked_size("resize", self.resize))

    def to_dict(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON values; PASSING is not a run's to keep."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in PASSING}
        default = asdict(AS_IT_IS)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value != default[name]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; DataError for a key that a later version wrote."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise DataError(f"unknown key {unknown[0]!r} in how the data are read")
        tuples: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**tuples)

    def refuse(self, where: object, kind: str, *options: str) -> None:
        """DataError where one of these options was given for data that it does not belong to."""
        for name in options if self.own else ():
            if getattr(self, name) not in (None, False):
                raise DataError(
                    f"{where}: --{name.replace('_', '-')} does not belong to {kind}; leave it out"
                )

    def with_changes(self, **changes: Any) -> Reading:
        """These options with some replaced."""
        return replace(self, **changes)


AS_IT_IS = Reading()  # no option given


def _checked_label(label: Any) -> str:
    """A label's name; a number, which may be a frame's name of a column, in digits."""
    if isinstance(label, str) or (isinstance(label, Integral) and not isinstance(label, bool)):
        return str(label)
    raise DataError(f"label {label!r}: give the name of a column or array, or a column's number")


def column_number(label: str) -> int | None:
    """The number that a label is in digits, below 0 from the last column on; None for a name."""
    try:
        return int(label) if re.fullmatch(r"-?[0-9]+", label) else None
    except ValueError:  # of more digits than Python reads
        return None


def checked_size(name: str, size: Any) -> tuple[int, int]:
    """(height, width), both at least 1; DataError otherwise."""
    found = _whole_numbers(size)
    if len(found) != 2:
        raise DataError(f"{name} {size!r}: give a height and a width of at least 1, such as 32x32")
    return found[0], found[1]


def checked_shape(shape: Any) -> tuple[int, ...]:
    """(height, width) or (height, width, 3); one channel is left out. DataError otherwise."""
    found = _whole_numbers(shape)
    if len(found) not in (2, 3) or (len(found) == 3 and found[2] not in CHANNELS):
        told = ",".join(map(str, shape)) if isinstance(shape, (tuple, list)) else repr(shape)
        raise DataError(
            f"shape {told}: give height,width or height,width,channels "
            "with 1 channel (grey) or 3 (colour)"
        )
    return found[:2] if found[2:] == (1,) else found


def _whole_numbers(sizes: Any) -> tuple[int, ...]:
    """The sizes, NumPy's numbers too; () where they are not all whole numbers from 1 on."""
    good = isinstance(sizes, (tuple, list)) and all(
        isinstance(n, Integral) and int(n) >= 1 for n in sizes
    )
    return tuple(int(n) for n in sizes) if good else ()


def shape_words(shape: tuple[int, ...]) -> str:
    """ "28x28" or "24x32 colour"."""
    return f"{shape[0]}x{shape[1]}" + (" colour" if len(shape) == 3 else "")

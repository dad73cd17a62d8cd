"""A table of parts by name, and how a part's function finds the kernel of the backend in use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from minivae.ops.table import FUNCTIONS
from minivae.settings import ConfigError, UnknownPart, nearest
from minivae.types import Array


class Part(Protocol):
    """Whatever has a name and words that say to people what it is."""

    @property
    def name(self) -> str: ...
    @property
    def words(self) -> str: ...


P = TypeVar("P", bound=Part)


class Table(Mapping[str, P]):
    """The parts of one kind by name, in order; those that others register come last.

    `kind` is the setting's name in configurations, "activation" for example.
    """

    def __init__(self, kind: str, parts: list[P]) -> None:
        self.kind = kind
        self._parts = {part.name: part for part in parts}
        self._ours = frozenset(self._parts)

    def __getitem__(self, name: str) -> P:
        try:
            return self._parts[name]
        except (KeyError, TypeError):
            raise UnknownPart(self.unknown(name)) from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def built_in(self) -> list[P]:
        """The parts that minivae brings itself."""
        return [part for name, part in self._parts.items() if name in self._ours]

    def registered(self) -> list[P]:
        """The parts that others have registered."""
        return [part for name, part in self._parts.items() if name not in self._ours]

    def require(self, name: object) -> None:
        """Raise UnknownPart, in one line, unless there is a part of this name."""
        if name not in self:
            raise UnknownPart(self.unknown(name))

    def unknown(self, name: object) -> str:
        """What to say of a name that is not there."""
        return (
            f"{self.kind} = {name!r}: must be one of {', '.join(self)}"
            f"{nearest(str(name), self)}; one of your own is added by minivae.parts.register, or "
            "by --parts FILE"
        )

    def first(self, fits: Callable[[P], bool]) -> str:
        """The name of the first part that fits; StopIteration where none does."""
        return next(name for name, part in self._parts.items() if fits(part))

    def choices(self) -> str:
        """The names for a help text: "relu, tanh or gelu"."""
        names = list(self)
        return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]

    def add(self, part: P) -> None:
        """Put a part at the end; ConfigError where the name is taken."""
        if part.name in self._parts:
            raise ConfigError(
                f"{part.name!r} is the name of another {self.kind} already: choose another"
            )
        self._parts[part.name] = part

    def remove(self, name: str) -> None:
        """Take a part out again."""
        del self._parts[name]


def kernel(K: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Backend K's kernel of an op; a function that is no op of ours keeps to its input's dtype."""
    name = getattr(function, "__name__", "")  # an object that can be called may have none
    record = FUNCTIONS.get(name)
    if record is None or record.function is not function:
        return functools.partial(_in_given_precision, function)
    return getattr(K, name)


def _in_given_precision(function: Callable[..., Any], first: Array, *rest: Any) -> Any:
    """function(first, …), its floats as wide as `first`: a `np.where(a > 0, 1, 0.1)` is float64."""
    found = function(first, *rest)
    if isinstance(found, (tuple, list)):
        return tuple(_as_wide(each, first) for each in found)
    return _as_wide(found, first)


def _as_wide(found: Any, like: Array) -> Any:
    if not hasattr(found, "dtype") or not found.dtype.kind == like.dtype.kind == "f":
        return found
    return found.astype(like.dtype, copy=False)

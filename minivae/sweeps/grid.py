"""Which runs a sweep is made of: axes of settings, their combinations, a name for each."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from minivae.messages import shown
from minivae.settings import ConfigError, nearest

Axes = Mapping[str, Sequence[str]]


class Point(NamedTuple):
    """One run of a sweep: its settings as typed, its seed, and the name of its directory."""

    settings: tuple[tuple[str, str], ...]
    seed: int

    @property
    def name(self) -> str:
        """ "beta=0.5,latent=10,seed=0": the same settings give the same name."""
        words = [f"{key}={value}" for key, value in self.settings]
        return ",".join([*words, f"seed={self.seed}"]).replace("/", "_")

    @property
    def options(self) -> list[str]:
        """The run's options for `minivae train`."""
        pairs = [*self.settings, ("seed", str(self.seed))]
        return [word for key, value in pairs for word in (f"--{key.replace('_', '-')}", value)]


def parse_axes(texts: Iterable[str], known: Iterable[str]) -> dict[str, list[str]]:
    """The axes of --grid KEY=A,B,C. Raises ConfigError for an unknown key or a missing value."""
    known = sorted(known)
    axes: dict[str, list[str]] = {}
    for text in texts:
        key, sign, values = text.partition("=")
        key = key.strip().replace("-", "_")
        if not sign or not values.strip(" ,"):
            raise ConfigError(f"--grid {text!r}: write it like --grid beta=0.5,1,2")
        if key == "seed":
            raise ConfigError("--grid seed: give the number of seeds by --seeds")
        if key not in known:
            raise ConfigError(
                f"--grid {text!r}: {key!r} is no setting of minivae train{nearest(key, known)}"
            )
        if key in axes:
            raise ConfigError(f"--grid {key}: given twice; put all its values into one list")
        listed = [canonical(value) for value in split_values(values) if value.strip()]
        axes[key] = list(dict.fromkeys(listed))
    return axes


def canonical(text: str) -> str:
    """A value as it stands in names: 1.0, 1 and 1e0 are one number, and one run."""
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return f"{number:.12g}" if math.isfinite(number) else text.strip()


def split_values(text: str) -> list[str]:
    """The values of an axis: at semicolons where there are any (--grid hidden="200;400,200")."""
    return text.split(";") if ";" in text else text.split(",")


def points_of(axes: Axes, seeds: int, sample: int | None = None) -> list[Point]:
    """Every combination with every seed, seeds last; or `sample` combinations drawn at random.

    A sample is drawn without repetition, the same one for the same axes, and without making the
    others. Raises ConfigError where there are fewer combinations than asked for.
    """
    total = math.prod(map(len, axes.values()))
    numbers: Iterable[int] = range(total)
    if sample is not None:
        if not 1 <= sample <= total:
            raise ConfigError(
                f"--random {sample}: the grid has {total} combinations; give 1 to {total}"
            )
        numbers = random.Random(0).sample(range(total), sample)
    return [Point(combination(axes, n), seed) for n in numbers for seed in range(seeds)]


def combination(axes: Axes, number: int) -> tuple[tuple[str, str], ...]:
    """The settings of that number, from 0 on, the last axis varying fastest."""
    settings = []
    for key, values in reversed(list(axes.items())):
        number, place = divmod(number, len(values))
        settings.append((key, values[place]))
    return tuple(reversed(settings))


def require_names_apart(points: Iterable[Point]) -> None:
    """ConfigError where two runs would be kept in one directory: a / is written _ in its name."""
    named: dict[str, Point] = {}
    for point in points:
        other = named.setdefault(point.name, point)
        if other != point:
            raise ConfigError(
                f"--grid: two runs would be called {shown(point.name)}, of {dict(other.settings)} "
                f"and of {dict(point.settings)}: leave one of them out"
            )


def share(points: Sequence[Point], only: str | None) -> list[Point]:
    """The K-th of N shares of the runs, for array jobs: --only K/N. Raises ConfigError."""
    if only is None:
        return list(points)
    k, sign, n = only.partition("/")
    if not (sign and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise ConfigError(f"--only {only!r}: write it K/N with 1 <= K <= N, like --only 2/8")
    return list(points[int(k) - 1 :: int(n)])

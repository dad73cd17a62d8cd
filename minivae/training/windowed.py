"""A training step on rows that lie on disk: they are brought into memory before each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.data.stream import FileRows
from minivae.data.window import Window
from minivae.types import Array


class WindowedStep:
    """A backend's step behind a window on the rows; what else a step has is the step's own."""

    def __init__(self, step: Any, window: Window) -> None:
        self.step, self.window = step, window

    def __call__(self, rows: Array, t: int, lr: Array, beta: Array) -> None:
        """n updates numbered from t: rows (n, B), lr and beta (n,). DataError as `Window.show`."""
        own = getattr(self.step, "own_columns", None)  # of a step that several processes share
        columns = slice(None) if own is None else own(rows.shape[1])
        places = np.zeros_like(rows)
        places[:, columns] = self.window.show(rows[:, columns])
        self.step(rows, t, lr, beta, places)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.step, name)


def step_on(
    K: Any, rows: Any, make: Callable[[Array], Any], used: Array, *, most: int, local: bool
) -> Any:
    """The step that `make` builds on an array of the rows, wherever they lie.

    used: the numbers of the rows that will be asked for, rising; at most `most` in a call. local:
    whether they come in the order of `local_order`.
    A backend of this machine's memory sees rows on disk through a window; a card holds them all.
    """
    if not isinstance(rows, FileRows):
        return make(rows)
    if K.xp is not np:
        return make(np.asarray(rows))
    window = Window(rows, used, most=most, local=local)
    return WindowedStep(make(window.array), window)

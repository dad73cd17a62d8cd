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
        own = getattr(self.step, "own_rows", None)  # of a step that several processes share
        self.window.show(rows if own is None else own(rows))
        self.step(rows, t, lr, beta)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.step, name)


def step_on(K: Any, rows: Any, make: Callable[[Array], Any], *, local: bool) -> Any:
    """The step that `make` builds on an array of the rows, wherever they lie.

    local: whether rows come in blocks of neighbours.
    A backend of this machine's memory sees rows on disk through a window; a card holds them all.
    """
    if not isinstance(rows, FileRows):
        return make(rows)
    if K.xp is not np:
        return make(np.asarray(rows))
    window = Window(rows, local=local)
    return WindowedStep(make(window.array), window)

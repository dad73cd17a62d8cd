"""A run opened for a command that shows it, and how that command reports.

Like the commands' own files it imports nothing slow at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class RunView:
    """A run opened for one of these commands, and how it reports."""

    def __init__(
        self,
        run: Path,
        checkpoint: str | None,
        split: str | None,
        data_dir: Path | None,
        backend: str,
        as_json: bool,
    ) -> None:
        from minivae.cli.backends import choose_backend
        from minivae.cli.console import Console
        from minivae.cli.trained_run import load_data, open_run, scene_of

        self.console = Console(as_json=as_json)
        self.run = open_run(run, checkpoint)
        self.dataset = load_data(self.run, data_dir, None, self.console)
        K = choose_backend(backend, None, self.console)
        self.scene = scene_of(K, self.run.model, self.run.theta, self.dataset, split)

    def default(self, name: str) -> Path:
        """Where a picture goes that --out does not place."""
        home = self.run.path if self.run.path.is_dir() else Path()
        return home / "pictures" / name

    def done(self, path: Path, facts: dict[str, Any], text: str = "") -> None:
        """Say where the picture is."""
        result = {"run": str(self.run.path), "checkpoint": self.run.which, "path": str(path)}
        self.console.result({**result, **facts}, f"{path}" + (f"\n{text}" if text else ""))


def choose_pair(labels: Any, n: int, first: int | None, last: int | None) -> tuple[int, int]:
    """The two rows given, or row 0 and the first row with another label."""
    import numpy as np

    a = 0 if first is None else first
    if last is not None:
        return a, last
    other = np.arange(n) != a if labels is None else labels != labels[a]
    return a, int(np.argmax(other)) if other.any() else a


def nearest_distance(x: Any, data: Any) -> float:
    """Euclidean distance of x (D,) to the nearest row of data (N, D)."""
    import numpy as np

    return float(np.sqrt(((data - x.astype(data.dtype)) ** 2).sum(axis=1).min()))


def save_array(path: Path, x: Any) -> None:
    """Write x as .npy, whole or not at all."""
    import numpy as np

    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.save(file, x, allow_pickle=False)
    temporary.replace(path)

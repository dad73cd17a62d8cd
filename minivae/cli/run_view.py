"""A run opened for a command that shows it, and how that command reports.

Like the commands' own files it imports nothing slow at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minivae.cli.command import DataPlace, OpenedRun
    from minivae.cli.pictures import DataSplit, Scene
    from minivae.data.dataset import Dataset
    from minivae.types import Array

ACTIVITY_DRAWS = 1000


class RunView:
    """A run opened for one of these commands; its data are read when they are first needed."""

    def __init__(
        self, opened: OpenedRun, place: DataPlace, backend: str, split: str | None = None
    ) -> None:
        from minivae.cli.backends import choose_backend
        from minivae.cli.console import Console
        from minivae.cli.trained_run import open_run

        self.console = Console(as_json=opened.as_json)
        self.run = open_run(opened.run, opened.checkpoint)
        self.K = choose_backend(backend, None, self.console)
        self._place, self._split = place, split

    @cached_property
    def dataset(self) -> Dataset:
        """The data, with the split that was asked for."""
        from minivae.cli.run_data import load_run_data, take_split

        dataset = load_run_data(self.run, *self._place, self.console)
        return take_split(dataset, self._split, self.run.training)

    @cached_property
    def shown(self) -> DataSplit:
        """The split that is shown."""
        from minivae.cli.pictures import DataSplit
        from minivae.cli.run_data import default_split

        return DataSplit.of(self.dataset, self._split or default_split(self.dataset))

    def shown_if_found(self) -> DataSplit | None:
        """The split that is shown; None, said aloud, where the data lie no longer where they did.

        Data that were asked for by an option must be there: DataError.
        """
        from minivae.data.errors import DataError

        try:
            return self.shown
        except DataError as fault:
            if (*self._place, self._split) != (None, None, None):
                raise
            self.console.warn(f"{fault}. Going on without the data")
            return None

    def data_beside(self) -> Array | None:
        """A table's data, to draw samples beside; None for pictures and where they are gone."""
        if self.scene.columns is None:
            return None
        shown = self.shown_if_found()
        return None if shown is None else shown.x

    @cached_property
    def scene(self) -> Scene:
        """The model, ready to decode. Needs no data, but for a run that did not record theirs."""
        from minivae.cli.pictures import Scene
        from minivae.models.vae import layout_of
        from minivae.plots.images import look_of

        run = self.run
        shape = run.shape if run.look else self.dataset.shape
        look = run.look or look_of(self.dataset.user_values("train"))
        p = layout_of(run.model).views(self.K.to_device(run.theta))
        return Scene(self.K, p, run.model, run.name, shape, look, run.columns, run.standard)

    def active_dims(self) -> tuple[int, int]:
        """The two dimensions that tell most about data like the model's own samples.

        Asked of the model alone: codes from the prior, decoded and encoded again. A dimension that
        the model does not use is encoded alike whatever the datum.
        """
        from minivae.cli.pictures import shown_dims
        from minivae.sampling import prior_codes

        codes = prior_codes(ACTIVITY_DRAWS, self.run.model.latent_dim, seed=0)
        return shown_dims(self.scene.encode(self.scene.decode(codes))[0])

    def default(self, name: str) -> Path:
        """Where a picture goes that --out does not place."""
        home = self.run.path if self.run.path.is_dir() else Path()
        return home / "pictures" / name

    def done(self, path: Path, facts: dict[str, Any], text: str = "") -> None:
        """Say where the picture is."""
        result = {"run": str(self.run.path), "checkpoint": self.run.which, "path": str(path)}
        self.console.result({**result, **facts}, f"{path}" + (f"\n{text}" if text else ""))


def no_pictures(view: RunView, lack: str) -> str:
    """What to say, and to do, where the rows of a run are drawn as no pictures."""
    from minivae.runs.hints import command_line

    draws = command_line("interpolate", view.run.path)
    return (
        f"{view.scene.name} has no height and width: {lack}; {draws} draws rows as they are, and a "
        "training with --shape H,W makes pictures of them"
    )


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

    save_whole(path, lambda file: np.save(file, x, allow_pickle=False))


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write named arrays as .npz, whole or not at all."""
    from minivae.data.whole import save_named

    save_whole(path, lambda file: save_named(file, arrays))


def save_text(path: Path, text: str) -> int:
    """Write text in UTF-8, whole or not at all; returns how many bytes it takes."""
    content = text.encode()
    save_whole(path, lambda file: file.write(content))
    return len(content)


def save_whole(path: Path, write: Callable[[Any], None]) -> None:
    """Write a file under another name, then give it its own; UsageError where that cannot be."""
    from minivae.cli.options import UsageError
    from minivae.data.whole import write_whole
    from minivae.runs.errors import describe_os_error

    try:
        write_whole(path, write)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {describe_os_error(error)}; choose another place with --out"
        ) from None

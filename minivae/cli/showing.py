"""What the commands that show a run share: an opened run, its report, and checks of numbers.

Like the commands' own files it imports nothing slow at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Showing:
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
        from minivae.cli.common import Speaker, choose_backend
        from minivae.cli.runs import load_data, open_run, scene_of

        self.speaker = Speaker(as_json=as_json)
        self.run = open_run(run, checkpoint)
        self.dataset = load_data(self.run, data_dir, None, self.speaker)
        K = choose_backend(backend, None, self.speaker)
        self.scene = scene_of(K, self.run.model, self.run.theta, self.dataset, split)

    def default(self, name: str) -> Path:
        """Where a picture goes that --out does not place."""
        home = self.run.path if self.run.path.is_dir() else Path()
        return home / "pictures" / name

    def done(self, path: Path, facts: dict[str, Any], text: str = "") -> None:
        """Say where the picture is."""
        result = {"run": str(self.run.path), "checkpoint": self.run.which, "path": str(path)}
        self.speaker.result({**result, **facts}, f"{path}" + (f"\n{text}" if text else ""))


def parse_numbers(option: str, text: str, n: int, what: str) -> Any:
    """An option's numbers "0,5,7" as an array, each checked to be one of the n."""
    import numpy as np

    from minivae.cli.common import UsageFault

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageFault(
            f"{option} {text!r} is no list of numbers; write it like {option} 0,1"
        ) from None
    for number in numbers:
        check_number(option, number, n, what)
    return np.array(numbers)


def parse_pair(text: str, latent_dim: int) -> tuple[int, int]:
    """The two different latent dimensions of --dims "0,3"."""
    from minivae.cli.common import UsageFault

    numbers = parse_numbers("--dims", text, latent_dim, "latent dimensions")
    pair = [int(number) for number in numbers]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise UsageFault(f"--dims {text!r}: give two different dimensions, such as --dims 0,1")
    return pair[0], pair[1]


def check_number(option: str, number: int, n: int, what: str) -> None:
    """Raise UsageFault unless 0 <= number < n; `what` says what is numbered."""
    from minivae.cli.common import UsageFault

    if not 0 <= number < n:
        raise UsageFault(f"{option} {number} is outside 0 to {n - 1}, the {what}")


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

"""What the commands share: one JSON object, messages, choosing a backend, parsing values."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNREAD = 141  # the exit code where nobody reads the output: 128 + SIGPIPE, as shells count


class UsageFault(ValueError):
    """Wrong usage: one line that names the option, its value and the fix; exit code 2."""


class Speaker:
    """Where words go: stdout, or stderr where stdout is kept for one JSON object."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet

    def say(self, text: str = "") -> None:
        """A message that --quiet leaves out."""
        if not self.quiet:
            print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def warn(self, text: str) -> None:
        """A message that is always shown, on stderr."""
        print(f"note: {text}", file=sys.stderr, flush=True)

    def result(self, value: Mapping[str, Any], text: str) -> None:
        """The command's result: one JSON object, or its text."""
        if self.as_json:
            print(to_json(value), flush=True)
        else:
            print(text, flush=True)


def to_json(value: Any) -> str:
    """One line of strict JSON; NaN and infinities, which JSON has not, become null."""
    return json.dumps(plain(value), allow_nan=False)


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays as lists, paths as text, NaN as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(v) for v in value]
    return str(value)


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" where a known word is near, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def choose(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is one of those allowed; else a UsageFault with the nearest."""
    if value not in allowed:
        raise UsageFault(
            f"{name} {value!r} is unknown: choose {', '.join(allowed)}{suggestion(value, allowed)}"
        )
    return value


def choose_backend(name: str, threads: int | None, speaker: Speaker, *, tf32: bool = False) -> Any:
    """The backend K; "auto" takes numba where it loads, else numpy, and says which and why.

    Raises UsageFault for an unknown name and for TF32 where there is none, BackendUnavailable
    where the one asked for cannot run.
    """
    from minivae.backend import BACKENDS, BackendUnavailable, load_backend

    choose("--backend", name, ("auto", *BACKENDS))
    check_least("--threads", threads)
    if tf32:
        return choose_tf32(name, threads, speaker)
    if name != "auto":
        return load_backend(name, threads)
    try:
        K = load_backend("numba", threads)
    except BackendUnavailable as reason:
        K = load_backend("numpy", threads)
        speaker.say(f"backend  numpy (auto; {reason})")
    else:
        speaker.say("backend  numba (auto; --backend numpy is the reference)")
    return K


def choose_tf32(name: str, threads: int | None, speaker: Speaker) -> Any:
    """The card's backend with TF32 on, said aloud; a UsageFault for any other backend."""
    from minivae.backend import load_backend

    if name != "cupy":
        raise UsageFault(
            f"--tf32 belongs to --backend cupy, and the backend is {name}: only a card rounds to "
            "TF32; leave it away (--no-tf32 for a run that was started with it)"
        )
    K = load_backend(name, threads, tf32=True)
    speaker.say("backend  cupy, TF32: the products' inputs keep 10 bits of mantissa, not 23")
    return K


def check_least(option: str, value: int | None, least: int = 1) -> None:
    """UsageFault unless the option's value is at least `least`, or the option was not given."""
    if value is not None and value < least:
        raise UsageFault(f"{option} is {value}; it must be at least {least}")


def check_seed(seed: int | None) -> None:
    """UsageFault unless the seed fits the 64 bits of the generator's key (E34), or is None."""
    if seed is not None and not 0 <= seed < 2**64:
        raise UsageFault(f"--seed is {seed}; it must be at least 0 and below 2**64")


def parse_sizes(text: str) -> tuple[int, ...]:
    """Layer sizes: "400,200" -> (400, 200); "none" -> (), the linear VAE."""
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageFault(f"--hidden {text!r} is no list of sizes; write it like 400,200") from None
    if min(sizes) < 1:
        raise UsageFault(f"--hidden {text!r} has a size below 1; every layer needs at least 1")
    return sizes


def parse_c(text: str) -> float | str:
    """The Gaussian's variance: a positive number, or "learned"."""
    if text == "learned":
        return text
    try:
        c = float(text)
    except ValueError:
        raise UsageFault(f"--c {text!r}: give a positive number, or learned") from None
    if not (0 < c < math.inf):
        raise UsageFault(f"--c {text!r}: the variance must be positive and finite")
    return c


def version_text() -> str:
    """The project's name and version."""
    from minivae import __version__

    return f"minivae {__version__}"


@contextmanager
def counting(
    what: str, total: int, speaker: Speaker
) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar with the time left on a terminal's stderr; nothing elsewhere."""
    if speaker.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, _: bar.update(task, completed=done)


def picture_path(out: Path | None, default: Path, endings: tuple[str, ...] = (".png",)) -> Path:
    """Where to write: `out`, checked, or the default. UsageFault where that cannot be.

    Nothing is made but the default's own folder.
    """
    if out is None:
        default.parent.mkdir(parents=True, exist_ok=True)
        return default
    check_file("--out", out)
    if out.suffix.lower() not in endings:
        raise UsageFault(f"--out {out}: the name must end in {' or '.join(endings)}")
    return out


def check_file(option: str, path: Path) -> None:
    """UsageFault where no file can be written: asked before the work, not after it."""
    if path.is_dir():
        raise UsageFault(f"{option} {path} is a directory; give a file's name")
    if not path.parent.is_dir():
        raise UsageFault(f"{option} {path}: there is no folder {path.parent}; make it first")

"""The options that several commands take, worded once, and the checks of what was given.

Typer reads the first part as defaults in a command's signature: `run: Path = options.RUN`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

# A trained run, and what of it is shown.
RUN = typer.Argument(..., help="A run's directory.")
SPLIT = typer.Option(None, help="train, valid or test; test by default.")
DATA = typer.Option(None, "--data", help="The data, where they lie now; or others of their size.")
DATA_DIR = typer.Option(None, help="Folder with copies of the published data.")
CHECKPOINT = typer.Option(None, help="best or last.")

PICTURE_OUT = typer.Option(
    None, "--out", "-o", help="The file to write; by default in the run's pictures."
)

# The objective. None leaves it to the data's defaults.
LATENT = typer.Option(None, help="Latent dimensions.")
LIKELIHOOD = typer.Option(None, help="{LIKELIHOODS}.")
C = typer.Option(None, help="Scale of the likelihood (the Gaussian's variance), or learned.")
OBJECTIVE = typer.Option(None, help="{OBJECTIVES}.")
BETA = typer.Option(None, help="Weight of the KL.")
WARMUP = typer.Option(None, help="Epochs over which beta rises from 0.")
FREE_BITS = typer.Option(None, help="Nats per latent dimension that cost nothing.")
DRAWS = typer.Option(None, help="Monte-Carlo draws per datum.")
BINARISE = typer.Option(None, help="none, dynamic or fixed.")

# What a network and its training are made of.
ACTIVATION = typer.Option(None, help="{ACTIVATIONS}.")
OPTIMISER = typer.Option(None, help="{OPTIMISERS}.")
SETTINGS = typer.Option(
    None, "--set", metavar="NAME=NUMBER", help="A setting of the optimiser; may be given again."
)
PARTS = typer.Option(
    None, "--parts", metavar="FILE",
    help="Runs FILE, Python that registers parts of your own; every command takes it.",
)  # fmt: skip

# Who computes, and how the result is said.
BACKENDS = "auto, numpy, numba or cupy."
PICTURE_BACKEND = typer.Option("numpy", help=BACKENDS)
RANK_TIMEOUT = typer.Option(
    None, help="mpiexec: seconds until a process that does not answer ends the run; 60 by default."
)
THREADS = typer.Option(None, help="Threads of the backend's kernels.")
TF32 = typer.Option(False, "--tf32", help="cupy: products' inputs as TF32.")
BF16 = typer.Option(False, "--bf16", help="numba: products' inputs as bfloat16 (AVX512-BF16).")
JSON = typer.Option(False, "--json", help="Print one JSON object.")
QUIET = typer.Option(False, "--quiet", "-q", help="Say nothing but the result.")


class PartsCommand(TyperCommand):
    """A command whose help lists the parts there are: read from their tables, when asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, each {TABLE} in an option's words replaced by that table's names."""
        from minivae import parts

        for parameter in self.params:
            words = getattr(parameter, "help", None) or ""
            if words.startswith("{"):
                table = words.strip("{}.")
                parameter.help = getattr(parts, table).choices() + "."  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class UsageError(ValueError):
    """Wrong usage: one line that names the option, its value and the fix; exit code 2."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" where a known word is near, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def choose(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is one of those allowed; else a UsageError with the nearest."""
    if value not in allowed:
        raise UsageError(
            f"{name} {value!r} is unknown: choose {', '.join(allowed)}{suggestion(value, allowed)}"
        )
    return value


def check_least(option: str, value: int | None, least: int = 1) -> None:
    """UsageError unless the option's value is at least `least`, or the option was not given."""
    if value is not None and value < least:
        raise UsageError(f"{option} is {value}; it must be at least {least}")


def check_seed(seed: int | None) -> None:
    """UsageError unless the seed fits the 64 bits of the generator's key (E34), or is None."""
    if seed is not None and not 0 <= seed < 2**64:
        raise UsageError(f"--seed is {seed}; it must be at least 0 and below 2**64")


def parse_sizes(text: str) -> tuple[int, ...]:
    """Layer sizes: "400,200" -> (400, 200); "none" -> (), the linear VAE."""
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--hidden {text!r} is no list of sizes; write it like 400,200") from None
    if min(sizes) < 1:
        raise UsageError(f"--hidden {text!r} has a size below 1; every layer needs at least 1")
    return sizes


def parse_c(text: str) -> float | str:
    """The likelihood's scale: a positive number, or "learned"."""
    if text == "learned":
        return text
    try:
        c = float(text)
    except ValueError:
        raise UsageError(f"--c {text!r}: give a positive number, or learned") from None
    if not (0 < c < math.inf):
        raise UsageError(f"--c {text!r}: it must be positive and finite")
    return c


def parse_settings(pairs: Iterable[str]) -> dict[str, float]:
    """The numbers of --set NAME=NUMBER, by name."""
    found: dict[str, float] = {}
    for pair in pairs:
        name, sign, number = pair.partition("=")
        try:
            found[name.strip().replace("-", "_")] = float(number)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise UsageError(f"--set {pair!r}: write it like --set weight_decay=0.01")
    return found


def parse_steps(text: str) -> list[list[float]]:
    """Steps of the learning rate: "10:0.5,20:0.1" -> [[10, 0.5], [20, 0.1]]."""
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return [[int(epoch), float(factor)] for epoch, factor in pairs]
    except ValueError:
        raise UsageError(f"--lr-steps {text!r}: write it like --lr-steps 10:0.5,20:0.1") from None


def parse_lengths(option: str, text: str | None, example: str) -> tuple[int, ...] | None:
    """Whole numbers such as "24,32,3" or "24x32"; None where the option was not given."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        raise UsageError(f"{option} {text!r}: write it like {option} {example}") from None


def parse_numbers(option: str, text: str, n: int, what: str) -> Any:
    """An option's numbers "0,5,7" as an array, each checked to be one of the n."""
    import numpy as np

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no list of numbers; write it like {option} 0,1"
        ) from None
    for number in numbers:
        check_number(option, number, n, what)
    return np.array(numbers)


def parse_pair(text: str, latent_dim: int) -> tuple[int, int]:
    """The two different latent dimensions of --dims "0,3"."""
    numbers = parse_numbers("--dims", text, latent_dim, "latent dimensions")
    pair = [int(number) for number in numbers]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise UsageError(f"--dims {text!r}: give two different dimensions, such as --dims 0,1")
    return pair[0], pair[1]


def parse_code(option: str, text: str, latent_dim: int) -> Any:
    """A code "0.5,-1" as an array (J,), float32."""
    import numpy as np

    try:
        code = np.array([float(part) for part in text.split(",")], dtype=np.float32)
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no list of numbers; write it like {option}=0.5,-1"
        ) from None
    if len(code) != latent_dim or not np.isfinite(code).all():
        raise UsageError(
            f"{option} {text!r}: give {latent_dim} finite numbers, one a latent dimension"
        )
    return code


def check_number(option: str, number: int, n: int, what: str) -> None:
    """Raise UsageError unless 0 <= number < n; `what` says what is numbered."""
    if not 0 <= number < n:
        raise UsageError(f"{option} {number} is outside 0 to {n - 1}, the {what}")


def picture_path(out: Path | None, default: Path, endings: tuple[str, ...] = (".png",)) -> Path:
    """Where to write: `out`, checked, or the default. UsageError where that cannot be.

    Nothing is made but the default's own folder.
    """
    if out is None:
        with contextlib.suppress(OSError):  # said below
            default.parent.mkdir(parents=True, exist_ok=True)
        check_writable(default.parent, "--out")
        return default
    check_file("--out", out)
    if out.suffix.lower() not in endings:
        raise UsageError(f"--out {out}: the name must end in {' or '.join(endings)}")
    return out


def check_file(option: str, path: Path) -> None:
    """UsageError where no file can be written: asked before the work, not after it."""
    if path.is_dir():
        raise UsageError(f"{option} {path} is a directory; give a file's name")
    if path.parent.exists() and not path.parent.is_dir():
        raise UsageError(f"{option} {path}: {path.parent} is no folder; choose another place")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; make it first")
    check_writable(path.parent, option)


def check_writable(folder: Path, option: str) -> None:
    """UsageError where no file can be made in the folder, which is asked by making one.

    Rights alone do not tell: root has them all, and can write neither /proc nor a read-only disk.
    """
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"{folder} cannot be written into ({why}); choose another place with {option}"
        ) from None

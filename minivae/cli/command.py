"""A command, and the options that belong together: it takes records, its user sees options.

    @command()
    def reconstruct(opened: OpenedRun, place: DataPlace, n: int = typer.Option(24)) -> None:

Typer is shown `--checkpoint`, `--json`, `--data` and so on, each from its field; the command is
handed the two records whole, and hands them down.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import typer
from typer.models import OptionInfo

from minivae.cli import options


class OpenedRun(NamedTuple):
    """A trained run, which checkpoint of it, and how the command answers."""

    run: Path = options.RUN
    checkpoint: str | None = options.CHECKPOINT
    as_json: bool = options.JSON


class DataPlace(NamedTuple):
    """Where a run's data lie now."""

    data: str | None = options.DATA
    data_dir: Path | None = options.DATA_DIR


AS_RECORDED = DataPlace(None, None)


class ObjectiveOptions(NamedTuple):
    """What is minimised. None leaves it to the data's defaults."""

    latent: int | None = options.LATENT
    likelihood: str | None = options.LIKELIHOOD
    c: str | None = options.C
    beta: float | None = options.BETA
    free_bits: float | None = options.FREE_BITS
    draws: int | None = options.DRAWS
    objective: str | None = options.OBJECTIVE
    warmup: float | None = options.WARMUP
    binarise: str | None = options.BINARISE


class ReadingOptions(NamedTuple):
    """How a file or a folder is read as data."""

    label: str | None = typer.Option(None, help="The column (or array) that holds the labels.")
    standardise: bool = typer.Option(
        False, "--standardise", help="Train on columns of mean 0 and deviation 1."
    )
    shape: str | None = typer.Option(None, help="H,W or H,W,3 of a row seen as a picture.")
    resize: str | None = typer.Option(None, help="HxW to bring a folder's pictures to.")
    one_hot: bool = typer.Option(
        False, "--one-hot", help="Spread text columns over columns of 0 and 1."
    )


def is_record(kind: Any) -> bool:
    """Whether an annotation is one of the records above, or another NamedTuple."""
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def command(**settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function the command of its file; `settings` go to Typer (short_help, name, …)."""

    def mark(function: Callable[..., None]) -> Callable[..., None]:
        shown = spread(function)
        shown.settings = settings  # type: ignore[attr-defined]
        return shown

    return mark


def add_command(app: typer.Typer, function: Any) -> None:
    """Put a command into an application, under its function's name with - for _."""
    word = {"name": function.__name__.replace("_", "-"), **function.settings}
    app.command(**word, cls=options.PartsCommand)(function)


def spread(function: Callable[..., None]) -> Callable[..., None]:
    """The function as Typer reads it, each record in its signature spread over its fields.

    In the help, arguments stand first, the records' before the command's own; of the options the
    command's own come first.
    """
    kinds = get_type_hints(function)
    records = {name: kind for name, kind in kinds.items() if is_record(kind)}
    own = [
        each.replace(annotation=kinds[name])
        for name, each in inspect.signature(function).parameters.items()
        if name not in records
    ]
    shared = [field for kind in records.values() for field in fields_of(kind)]
    first = [each for each in (*shared, *own) if not isinstance(each.default, OptionInfo)]
    flat = [*first, *(each for each in (*own, *shared) if each not in first)]

    @functools.wraps(function)
    def with_options(**given: Any) -> None:
        gathered = {
            name: kind(**{field: given.pop(field) for field in kind._fields})
            for name, kind in records.items()
        }
        function(**gathered, **given)

    with_options.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in flat}
    return with_options


def fields_of(record: Any) -> list[inspect.Parameter]:
    """A record's fields as parameters of a function."""
    kinds, keyword = get_type_hints(record), inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(name, keyword, annotation=kinds[name], default=default)
        for name, default in record._field_defaults.items()
    ]


def flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """A command's arguments by name, its records' fields among them."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        values |= value._asdict() if is_record(type(value)) else {name: value}
    return values

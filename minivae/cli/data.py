"""`minivae data`: list the known data sets, or download one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from minivae.cli.command import command
from minivae.messages import as_it_stands, printable

if TYPE_CHECKING:
    from rich.table import Table

    from minivae.data.dataset import Dataset
    from minivae.data.download import Progress
    from minivae.data.load import CatalogueRow

WIDE = 100  # columns of a terminal, from which the list is a table


@command()
def data(
    name: str | None = typer.Argument(
        None, help="The data set to download; without it, the known ones are listed."
    ),
    data_dir: Path | None = typer.Option(
        None, "--data-dir", help="Look for copies here first, and keep downloads here."
    ),
    json_output: bool = typer.Option(False, "--json", help="Print one JSON object and no more."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
) -> None:
    """List the data sets with sizes and licences, or download one."""
    if name is None:
        _list(data_dir, json_output)
    else:
        _download(name, data_dir, json_output, quiet or json_output)


def _list(data_dir: Path | None, json_output: bool) -> None:
    from minivae.data.load import catalogue
    from minivae.data.locate import cache_dir
    from minivae.data.sniff import FORMS

    rows = catalogue(data_dir)
    if json_output:
        listed = [row._asdict() for row in rows]
        print(json.dumps({"datasets": listed, "cache": str(cache_dir())}))
        return
    from rich.console import Console

    # a pipe or file has no width to fold paths at
    console = Console() if sys.stdout.isatty() else Console(width=200)
    if console.width < WIDE:
        for row in rows:
            console.print(as_it_stands("\n".join(map(printable, narrow_entry(row)))))
    else:
        console.print(_table(rows))
    print("\nminivae data NAME downloads one, minivae train NAME trains on it, and")
    print(f"minivae train PATH takes your own: a folder of pictures, or a {FORMS} file.")


def narrow_entry(row: CatalogueRow) -> list[str]:
    """A data set in a few short lines, for a narrow terminal."""
    parts = {"train": row.train, "valid": row.valid, "test": row.test}
    counts = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    size = "" if row.bytes == 0 else f", {_size(row.bytes)}"
    where = row.where or "not downloaded"
    return [
        row.name,
        f"  {counts}",
        f"  {row.features} features{size}",
        f"  licence: {row.licence}",
        f"  {where}",
    ]


def _table(rows: list[CatalogueRow]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    for title in ("train", "valid", "test", "features", "size"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("where", overflow="fold")
    for row in rows:
        counts = [str(row.train), str(row.valid or "-"), str(row.test), str(row.features)]
        where = row.where or "not downloaded"
        cells = (row.name, *counts, _size(row.bytes), row.licence, printable(where))
        table.add_row(*map(as_it_stands, cells))
    return table


def _download(name: str, data_dir: Path | None, json_output: bool, quiet: bool) -> None:
    from minivae.data.download import download
    from minivae.data.load import load, unknown_name
    from minivae.data.registry import BY_NAME, known_name
    from minivae.runs.hints import command_line

    known = known_name(name)
    if known is None:
        raise unknown_name(name)
    embedded = BY_NAME[known].embedded
    dataset = load(known) if embedded else _whole(known, data_dir)
    fetched = dataset is None
    if dataset is None:
        with _progress(quiet) as progress:
            download(known, data_dir, progress)
        dataset = load(known, data_dir)
    folder = _folder(known, data_dir)
    if json_output:
        print(json.dumps({"name": known, "where": folder, "downloaded": fetched}))
        return
    state = "downloaded to" if fetched else "is there and whole, in"
    print(f"{known}: built in, nothing to download" if embedded else f"{known}: {state} {folder}")
    print(f"{dataset!r}")
    place = () if embedded or data_dir is None else ("--data-dir", data_dir)
    print(f"next: {command_line('train', known, *place)}")


def _whole(name: str, data_dir: Path | None) -> Dataset | None:
    """The data set if it is on this machine; None if it must be fetched, anew when damaged."""
    from minivae.data.errors import DataError
    from minivae.data.load import load
    from minivae.data.locate import at_home, cache_dir

    folder = _folder(name, data_dir)
    if folder is None:
        return None
    try:
        return load(name, data_dir)
    except DataError as error:
        kept = cache_dir() if data_dir is None else at_home(data_dir)
        if not Path(folder).is_relative_to(kept):
            raise  # a copy of the user's: it is not ours to put another in its place
        print(f"{error}; fetching it anew", file=sys.stderr)
        return None


def _folder(name: str, data_dir: Path | None) -> str | None:
    from minivae.data.locate import at_home, find
    from minivae.data.registry import BY_NAME

    if BY_NAME[name].embedded or (data_dir is not None and not at_home(data_dir).is_dir()):
        return None
    folder = find(BY_NAME[name], data_dir)
    return None if folder is None else str(folder)


def _size(count: int) -> str:
    if count == 0:
        return "-"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    """A bar on a terminal, one line a file elsewhere; all of it on stderr."""
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def plain(file: str, done: int, total: int) -> None:
            if file not in seen:
                seen.add(file)
                print(f"fetching {file} ({_size(total)})", file=sys.stderr)

        yield plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, object] = {}

        def show(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=total)
            bar.update(tasks[file], completed=done, total=total)  # type: ignore[arg-type]

        yield show

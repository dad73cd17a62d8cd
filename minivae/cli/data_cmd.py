"""`minivae data`: list the known data sets, or download one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from minivae.data.download import Progress


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(data)


def data(
    name: str | None = typer.Argument(
        None, help="The data set to download; without it, the known ones are listed."
    ),
    data_dir: Path | None = typer.Option(  # noqa: B008 - Typer reads the default
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

    rows = catalogue(data_dir)
    if json_output:
        listed = [row._asdict() for row in rows]
        print(json.dumps({"datasets": listed, "cache": str(cache_dir())}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    for title in ("train", "valid", "test", "features", "size"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("licence")
    table.add_column("where", overflow="fold")
    for row in rows:
        counts = [str(row.train), str(row.valid or "-"), str(row.test), str(row.features)]
        where = row.where or "not downloaded"
        table.add_row(row.name, *counts, _size(row.bytes), row.licence, where)
    console = Console()
    console.print(table)
    print(
        "\nminivae data NAME downloads one; minivae train NAME trains on it. Your own .npy, .npz,"
    )
    print("idx or idx.gz file: minivae train PATH.")


def _download(name: str, data_dir: Path | None, json_output: bool, quiet: bool) -> None:
    from minivae.data.download import download
    from minivae.data.load import load
    from minivae.data.locate import find
    from minivae.data.registry import BY_NAME, known_name

    known = known_name(name)
    entry = BY_NAME[known] if known else None
    built_in = entry is not None and entry.embedded
    folder = None
    if entry is not None and not built_in and (data_dir is None or data_dir.expanduser().is_dir()):
        folder = find(entry, data_dir)
    there = folder is not None
    if there:
        dataset = load(entry.name, data_dir)  # type: ignore[union-attr]  # and so verified
    elif built_in:
        dataset = load(name)
    else:
        with _progress(quiet) as progress:
            folder = download(name, data_dir, progress)
        dataset = load(name, data_dir)
    if json_output:
        where = None if folder is None else str(folder)
        print(json.dumps({"name": dataset.name, "where": where, "downloaded": not there}))
        return
    done = "built in, nothing to download" if built_in else f"in {folder}"
    state = "" if built_in else "was there already and is whole, " if there else "downloaded, "
    print(f"{dataset.name}: {state}{done}")
    print(f"{dataset!r}")
    print(f"next: minivae train {dataset.name}")


def _size(count: int) -> str:
    return (
        "-" if count == 0 else f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
    )


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

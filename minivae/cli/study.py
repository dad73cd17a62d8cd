"""`minivae study`: the chapters, one run, all run, the book, the exercises, the index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from minivae.cli.command import command

KEPT = Path("minivae/study/results")  # of a checkout: what the chapters' tables are made of
HELP = {
    "all": "run every chapter, in order",
    "build": "make the whole book as HTML that needs no network",
    "check CHAPTER [ANSWERS.py]": "write a file of exercises to fill in, or mark it",
    "index": "equations to code, and code to equations",
    "full [NAME]": "the long runs behind the recorded tables",
}


@command(short_help="Follow the story, chapter by chapter.")
def study(
    what: str = typer.Argument(None, help="A chapter's name or number, or: " + ", ".join(HELP)),
    target: str = typer.Argument(None, help="For check: the chapter. For full: the run."),
    answers: Path = typer.Argument(None, help="For check: your file of answers."),
    out: Path = typer.Option(None, "--out", "-o", help="Where pictures, or the book, go."),
    notebook: bool = typer.Option(
        False, "--notebook", help="Write the chapter as a Jupyter notebook, and do not run it."
    ),
    data: str = typer.Option(None, "--data", help="digits, mnist or fashion-mnist."),
    data_dir: str = typer.Option(None, "--data-dir", help="Folder with the published files."),
) -> None:
    """Follow the story chapter by chapter; with no argument, list the chapters."""
    if data is not None:
        os.environ["MINIVAE_STUDY_DATA"] = data
    if data_dir is not None:
        os.environ["MINIVAE_DATA"] = data_dir
    refuse_unread(what, target, out)
    if what is None:
        list_chapters()
    elif what == "build":
        build(out)
    elif what == "check":
        check(target, answers, out)
    elif what == "index":
        from minivae.study.index import render

        print(render(), end="")
    elif what == "full":
        full(target, data_dir, out)
    elif notebook:
        write_notebooks(what, out)
    else:
        run_chapters(what, out)


def refuse_unread(what: str | None, target: str | None, out: Path | None) -> None:
    """UsageError where something was given that would not be looked at."""
    from minivae.cli.options import UsageError

    if out is not None and what in (None, "index"):
        raise UsageError(f"--out {out}: this is printed, and nothing is written; leave it out")
    if target is not None and what not in ("check", "full"):
        raise UsageError(f"{target}: give one chapter, or all; only check and full take two words")


def list_chapters() -> None:
    """The chapters in request, and what else the command does."""
    from minivae.study.runner import chapters

    width = max(len(c.name) for c in chapters())
    for i, each in enumerate(chapters(), 1):
        print(f"{i:3}  {each.name:{width}}  {each.title.split('. ', 1)[-1]}")
    print("\nminivae study NAME runs a chapter and writes its pictures. Also:")
    for word, meaning in HELP.items():
        print(f"  minivae study {word:28} {meaning}")


def run_chapters(name: str, out: Path | None) -> None:
    """Run one chapter, or all; the first that fails stops the run with its line."""
    from minivae.study.runner import chapter, chapters, run, summary

    chosen = chapters() if name == "all" else [chapter(name)]
    folder = made_folder(out or Path("study"))
    records: list[Any] = []
    for each in chosen:
        print(f"== {each.title}")
        records.append(run(each, folder / each.name))
        print()
    print(summary(records))


def write_notebooks(name: str, out: Path | None) -> None:
    """Write one chapter, or all, as notebooks; those that are there already are left alone."""
    from minivae.cli.options import UsageError
    from minivae.study.book.notebook import write_notebook
    from minivae.study.runner import chapter, chapters

    folder = out or Path()
    for each in chapters() if name == "all" else [chapter(name)]:
        path = folder / f"{each.path.stem}.ipynb"
        if path.exists():
            raise UsageError(f"{path} is there already; move it, or give another folder by --out")
        write_notebook(each, made_folder(folder) / path.name)
        print(f"Wrote {path}. Open it with: jupyter lab {path}")


def build(out: Path | None) -> None:
    """Make the book and say where it is."""
    from minivae.study.book import build_book

    page = build_book(made_folder(out or Path("study-book")))
    print(f"The book is at {page}; open it in any browser, no network is needed.")


def check(name: str | None, answers: Path | None, out: Path | None) -> None:
    """Write the template of a chapter's exercises into the folder `out`, or mark the answers."""
    from minivae.cli.options import UsageError
    from minivae.runs.hints import command_line
    from minivae.study.check import mark, write_template
    from minivae.study.runner import chapter

    if name is None:
        raise UsageError("say which chapter: minivae study check CHAPTER [ANSWERS.py]")
    each = chapter(name)
    if answers is None:
        folder = Path() if out is None else made_folder(out)
        path = folder / f"{each.name.replace('-', '_')}_answers.py"
        write_template(each.name, path)
        again = command_line("study", "check", each.name, path)
        print(f"Wrote {path}. Fill it in, then: {again}")
        return
    if out is not None:
        raise UsageError("--out: marking writes nothing; leave it out")
    results = mark(each.name, answers)
    for result in results:
        print(
            f"{'✓' if result.right else '✗'} {result.name}"
            + (f": {result.hint}" if result.hint else "")
        )
    right = sum(r.right for r in results)
    print(f"{right} of {len(results)} right.")
    if right < len(results):
        raise typer.Exit(1)


def full(name: str | None, data_dir: str | None, out: Path | None) -> None:
    """Run the long studies (or one) and write their JSON; where to is settled before the work."""
    from minivae.cli.options import choose
    from minivae.study.full import STUDIES, run_study

    names = list(STUDIES) if name is None else [choose("study full", name, tuple(STUDIES))]
    folder = made_folder(out or (KEPT if KEPT.is_dir() else Path("study-results")))
    for each in names:
        print(f"Wrote {run_study(each, data_dir, folder)}")


def made_folder(folder: Path) -> Path:
    """The folder, made where it is not there; UsageError where no file can be put into it."""
    from minivae.cli.options import UsageError, check_writable
    from minivae.runs.errors import describe_os_error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {folder}: {describe_os_error(error)}; choose another place with --out"
        ) from None
    check_writable(folder, "--out")
    return folder

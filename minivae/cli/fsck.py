"""`minivae fsck`: check every file of a run, or of a folder of runs; say what can be recovered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from minivae.cli import options
from minivae.cli.command import command

if TYPE_CHECKING:
    from minivae.runs.fsck import RunReport
    from minivae.runs.fsck_many import FolderReport


@command(short_help="Check every file of a run; say what can be recovered.")
def fsck(
    run: Path = options.RUN,
    as_json: bool = options.JSON,
    quiet: bool = options.QUIET,
) -> None:
    """Check a run's files, hashes, pointers, log lines and settings; nothing is changed.

    A sweep's folder, or that of `minivae reproduce`, is checked with every run in it, and a kept
    result without any. The exit code is 0 where all is sound, 1 where something is damaged.
    """
    from minivae.cli.console import Console
    from minivae.published.fsck import CHECKS as OF_A_RESULT
    from minivae.runs.fsck import check_run
    from minivae.runs.fsck_many import check_folder
    from minivae.sweeps.fsck import CHECKS as OF_A_SWEEP

    console = Console(as_json=as_json, quiet=quiet)
    for checks in (OF_A_SWEEP, OF_A_RESULT):
        if checks.is_one(run):
            facts = facts_of_folder(check_folder(run, checks))
            console.result(facts, folder_text(facts, quiet))
            break
    else:
        facts = facts_of_run(check_run(run))
        console.result(facts, as_text(facts, quiet))
    if not facts["sound"]:
        raise typer.Exit(1)


def facts_of_run(report: RunReport) -> dict[str, Any]:
    """A run's report in JSON's own types."""
    return {
        "run": str(report.path),
        "sound": report.sound,
        "resume_from": report.resume_from,
        "files": [finding._asdict() for finding in report.findings],
        "recover": report.recover,
    }


def facts_of_folder(report: FolderReport) -> dict[str, Any]:
    """The report on a folder of runs in JSON's own types."""
    return {
        "folder": str(report.path),
        "sound": report.sound,
        "runs": [facts_of_run(run) for run in report.runs],
        "files": [finding._asdict() for finding in report.findings],
    }


def folder_text(facts: dict[str, Any], quiet: bool) -> str:
    """Every run's lines, those of the other files, and one verdict on all."""
    runs = [as_text(run, quiet) + "\n" for run in facts["runs"]]
    damaged = sum(not run["sound"] for run in facts["runs"])
    other = sum(f["state"] == "damaged" for f in facts["files"])
    verdict = "sound" if facts["sound"] else f"{damaged} of them and {other} other files damaged"
    lines = [*runs, *file_lines(facts["files"], quiet), ""]
    return "\n".join([*lines, f"{facts['folder']}: {len(runs)} runs; {verdict}"])


def file_lines(found: list[dict[str, Any]], quiet: bool) -> list[str]:
    """A line for each file, those that are sound left out where `quiet`."""
    shown = [f for f in found if not (quiet and f["state"] == "sound")]
    width = max((len(f["file"]) for f in shown), default=0)
    return [f"{f['state']:<8} {f['file']:<{width}}  {f['words']}" for f in shown]


def as_text(facts: dict[str, Any], quiet: bool) -> str:
    """A line for each file, those that are sound left out by --quiet; then what can be done."""
    lines = file_lines(facts["files"], quiet)
    damaged = sum(f["state"] == "damaged" for f in facts["files"])
    verdict = "sound" if facts["sound"] else f"{damaged} damaged"
    return "\n".join([*lines, "", f"{facts['run']}: {verdict}", *facts["recover"]])

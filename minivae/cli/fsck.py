"""`minivae fsck`: check every file of a run, and say what can be recovered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import command


@command(short_help="Check every file of a run; say what can be recovered.")
def fsck(
    run: Path = options.RUN,
    as_json: bool = options.JSON,
    quiet: bool = options.QUIET,
) -> None:
    """Check a run's files, hashes, pointers, log lines and settings; nothing is changed.

    The exit code is 0 where all is sound, 1 where something is damaged.
    """
    from minivae.cli.console import Console
    from minivae.runs.fsck import check_run

    report = check_run(run)
    facts = {
        "run": str(report.path),
        "sound": report.sound,
        "resume_from": report.resume_from,
        "files": [finding._asdict() for finding in report.findings],
        "recover": report.recover,
    }
    Console(as_json=as_json, quiet=quiet).result(facts, as_text(facts, quiet))
    if not report.sound:
        raise typer.Exit(1)


def as_text(facts: dict[str, Any], quiet: bool) -> str:
    """A line for each file, those that are sound left out by --quiet; then what can be done."""
    shown = [f for f in facts["files"] if not (quiet and f["state"] == "sound")]
    width = max((len(f["file"]) for f in shown), default=0)
    lines = [f"{f['state']:<8} {f['file']:<{width}}  {f['words']}" for f in shown]
    damaged = sum(f["state"] == "damaged" for f in facts["files"])
    verdict = "sound" if facts["sound"] else f"{damaged} damaged"
    return "\n".join([*lines, "", f"{facts['run']}: {verdict}", *facts["recover"]])

"""Check a folder of runs, such as a sweep's: each run in it, and the files beside the runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from minivae.messages import one_line
from minivae.runs import files
from minivae.runs.directory import is_begun
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.fsck import HALF_WRITTEN, RunReport, check_run, is_run
from minivae.runs.fsck_findings import Finding
from minivae.runs.pictures import png_fault

RUNS = "runs"
HALF = re.compile(r"\..*[.-][0-9a-f]{16}")  # names under which several processes write one file


class FileCheck(NamedTuple):
    """How a file beside the runs is checked, and what mends it.

    check: of its path -> why it is sound; ValueError or OSError, one line, where it is not. mend:
    the words, or of the folder -> the words.
    """

    check: Callable[[Path], str]
    mend: str | Callable[[Path], str]


class Checks(NamedTuple):
    """What there is in a folder of one kind beside its runs, and how such a folder is known.

    files: by their paths within it, * for any name. is_one: whether a folder is of this kind.
    """

    files: Mapping[str, FileCheck]
    is_one: Callable[[Path], bool]


class FolderReport(NamedTuple):
    """What a folder of runs holds: each run's report, and the findings on all other files."""

    path: Path
    runs: list[RunReport]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, in the runs and beside them."""
        return all(run.sound for run in self.runs) and all(
            finding.state != "damaged" for finding in self.findings
        )


def check_folder(path: Path, checks: Checks) -> FolderReport:
    """Check every run below `path`, and every file that `checks` knows; nothing is written.

    Raises RunError, one line, where a folder cannot be read.
    """
    try:
        return _check_folder(path, checks)
    except OSError as error:
        place, why = error.filename or path, describe_os_error(error)
        raise RunError(f"cannot read {place}: {why}; check the disk") from error


def _check_folder(path: Path, checks: Checks) -> FolderReport:
    findings = [
        finding
        for pattern, how in checks.files.items()
        for file in matching(path, pattern)
        if (finding := _check_file(path, file, how)) is not None
    ]
    runs = [entry for entry in _entries(path / RUNS) if entry.is_dir()]
    beside = {(path / pattern).parent for pattern in checks.files if "*/" not in pattern}
    findings += _leftovers(path, {path, path / RUNS, *beside}, runs)
    known = {finding.file for finding in findings}
    reports = []
    for run in runs:
        own = f"{RUNS}/{run.name}/"
        try:
            report = check_run(run)
        except RunError as fault:
            has_result = any(file.startswith(own) for file in known)
            findings.append(_no_run(run, str(fault), has_result=has_result))
            continue
        rest = [f for f in report.findings if own + f.file not in known or f.state == "damaged"]
        reports.append(report._replace(findings=rest))
    return FolderReport(path, reports, findings)


def matching(folder: Path, pattern: str) -> list[Path]:
    """The entries below a folder that a pattern names, sorted, links that lead nowhere among them.

    Raises OSError where a folder cannot be read.
    """
    head, _, rest = pattern.partition("/")
    found = [entry for entry in _entries(folder) if fnmatchcase(entry.name, head)]
    return [file for entry in found for file in matching(entry, rest)] if rest else found


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing where there is none."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _no_run(run: Path, fault: str, *, has_result: bool) -> Finding:
    """What there is to say of a folder among the runs that could not be checked as a run."""
    place = f"{RUNS}/{run.name}"
    if is_run(run):
        return Finding(place, "damaged", one_line(fault))
    if has_result:
        words = "its result is all that is left of the run: move it away to have it made again"
        return Finding(place, "damaged", words)
    if is_begun(run):
        return Finding(place, "note", "no run's folder")
    words = "no run came to its first record here; the same command begins it"
    return Finding(place, "note", words)


def _check_file(path: Path, file: Path, how: FileCheck) -> Finding | None:
    """What there is to say of a file; None where a run beside this one took it away meanwhile."""
    place = file.relative_to(path).as_posix()
    try:
        words = how.check(file)
    except (OSError, ValueError) as fault:
        if not os.path.lexists(file):
            return None
        words = describe_os_error(fault) if isinstance(fault, OSError) else str(fault)
        words = words.removeprefix(f"{file}: ")
        mend = how.mend if isinstance(how.mend, str) else how.mend(path)
        return Finding(place, "damaged", one_line(f"{words}; {mend}"))
    if file.is_symlink():
        return Finding(place, "note", f"{words}; but a link, and may be changed from elsewhere")
    return Finding(place, "sound", words)


def check_picture(file: Path) -> str:
    """Why a picture is sound; ValueError where it is none."""
    fault = png_fault(file)
    if fault is not None:
        raise ValueError(fault)
    return "a whole picture"


def _leftovers(path: Path, folders: Iterable[Path], runs: Iterable[Path]) -> Iterator[Finding]:
    """What a kill left half-written beside the runs, or, of files like these, in one."""
    words = f"{HALF_WRITTEN}; remove it when nothing runs here"
    own = files.TEMPORARY  # told with each run where it lies in one
    places = [(folder, own) for folder in sorted(folders)] + [(run, None) for run in runs]
    for folder, ending in places:
        for entry in _entries(folder):
            if HALF.fullmatch(entry.name) or (ending and entry.name.endswith(ending)):
                yield Finding(entry.relative_to(path).as_posix(), "note", words)

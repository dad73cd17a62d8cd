"""Check a folder of runs, such as a sweep's: each run in it, and the files beside the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from minivae.messages import one_line
from minivae.runs import files
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.fsck import Finding, RunReport, check_run
from minivae.runs.pictures import png_fault
from minivae.settings import UnknownPart

RUNS = "runs"


class FileCheck(NamedTuple):
    """How a file beside the runs is checked, and what mends it.

    check: of its path -> why it is sound; ValueError or OSError, one line, where it is not. mend:
    the words, or of the folder -> the words.
    """

    check: Callable[[Path], str]
    mend: str | Callable[[Path], str]


Checks = Mapping[str, FileCheck]  # by the file's path within the folder, * for any name


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


def is_folder_of_runs(path: Path, checks: Checks) -> bool:
    """Whether the folder holds, beside a folder of runs, a file that `checks` knows."""
    return (path / RUNS).is_dir() and any(any(path.glob(pattern)) for pattern in checks)


def check_folder(path: Path, checks: Checks) -> FolderReport:
    """Check every run below `path`, and every file that `checks` knows; nothing is written."""
    findings = [
        _check_file(path, file, how)
        for pattern, how in checks.items()
        for file in sorted(path.glob(pattern))
    ]
    known = {finding.file for finding in findings}
    reports = []
    for run in sorted(entry for entry in (path / RUNS).iterdir() if entry.is_dir()):
        try:
            report = check_run(run)
        except UnknownPart:
            raise
        except RunError:
            words = "no run came to its first record here; the same command begins it"
            findings.append(Finding(f"{RUNS}/{run.name}", "note", words))
            continue
        own = f"{RUNS}/{run.name}/"
        rest = [f for f in report.findings if own + f.file not in known or f.state == "damaged"]
        reports.append(report._replace(findings=rest))
    findings += _leftovers(path, [path, path / RUNS, *(report.path for report in reports)])
    return FolderReport(path, reports, findings)


def _check_file(path: Path, file: Path, how: FileCheck) -> Finding:
    place = file.relative_to(path).as_posix()
    mend = how.mend if isinstance(how.mend, str) else how.mend(path)
    try:
        words = how.check(file)
    except OSError as error:
        return Finding(place, "damaged", one_line(f"{describe_os_error(error)}; {mend}"))
    except ValueError as fault:
        words = str(fault).removeprefix(f"{file}: ")
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


def _leftovers(path: Path, folders: Iterable[Path]) -> list[Finding]:
    """What a kill left half-written beside the runs."""
    return [
        Finding(entry.relative_to(path).as_posix(), "note", "half-written, as a kill leaves it")
        for folder in folders
        for entry in sorted(folder.iterdir())
        if (entry.name.startswith(".") and ".json." in entry.name)
        or (folder in (path, path / RUNS) and entry.name.endswith(files.TEMPORARY))
    ]

"""How the files of a sweep that lie beside its runs' own are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minivae.messages import shown
from minivae.runs.fsck import is_run
from minivae.runs.fsck_many import RUNS, Checks, FileCheck, check_picture, matching
from minivae.runs.strict_json import JsonFault
from minivae.sweeps.plan import FAILURE_SCHEMA, FAILURES, RESULT, SPEC, SPEC_SCHEMA, read_json
from minivae.sweeps.plan import read_result as result_in


def check_spec(file: Path) -> str:
    """What a sweep was asked for."""
    there(read_json(file, SPEC_SCHEMA))
    return "it agrees with its schema"


def check_result(file: Path) -> str:
    """What a run of a sweep came to: under its sha256, and beside the run that it is of."""
    result = there(result_in(file))
    run = Path(result["facts"]["run"]).name
    if run != file.parent.name:
        raise JsonFault(f"it is of another run, {shown(run, 80)}")
    return "its sha256 agrees" if "sha256" in result else "of an earlier version, without a sha256"


def check_failure(file: Path) -> str:
    """Why a run failed."""
    return f"the run failed: {shown(there(read_json(file, FAILURE_SCHEMA))['error'], 200)}"


def there(found: dict[str, Any]) -> dict[str, Any]:
    """What a file holds; JsonFault where there is none, as behind a link that leads nowhere."""
    if not found:
        raise JsonFault("it is missing")
    return found


def is_sweep(path: Path) -> bool:
    """Whether a folder is a sweep's, be it one that a kill ended as it began, or without its note:
    a result beside a run's own files is a sweep's too."""
    if matching(path, SPEC) or matching(path, f".{SPEC}.*"):
        return True
    return any(is_run(file.parent) for file in matching(path, f"{RUNS}/*/{RESULT}"))


AGAIN = "the same sweep writes it again"
CHECKS = Checks(
    {
        SPEC: FileCheck(check_spec, AGAIN),
        f"{RUNS}/*/{RESULT}": FileCheck(check_result, "the same sweep measures the run again"),
        f"{FAILURES}/*.json": FileCheck(check_failure, AGAIN),
        "pictures/*.png": FileCheck(check_picture, AGAIN),
    },
    is_sweep,
)

"""How the files of a published result that lie beside its runs are checked."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from pathlib import Path

from minivae.published.again import go_on
from minivae.published.carry_out import DATA, PROTOCOL, PROTOCOL_SCHEMA
from minivae.published.kept import RESULT, read_any_result
from minivae.published.measured import MEASURED
from minivae.published.results import PART, PICTURE
from minivae.runs import files
from minivae.runs.checkpoint import read_checkpoint
from minivae.runs.errors import CheckpointError
from minivae.runs.fsck import is_run
from minivae.runs.fsck_many import Checks, FileCheck, check_picture, matching
from minivae.runs.strict_json import JsonFault, flag, parse, record, text, whole


def check_protocol(file: Path) -> str:
    """Whose runs the folder holds."""
    parse(files.read_file(file), PROTOCOL_SCHEMA)
    return "it agrees with its schema"


def check_result(file: Path) -> str:
    """What the experiment came to."""
    result = read_any_result(file)
    return "its sha256 agrees" if "sha256" in result else "of an earlier version, without a sha256"


def check_data(file: Path) -> str:
    """The rows that a run was trained on, by the sums in the archive itself."""
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as fault:
        raise JsonFault(f"no whole archive ({fault})") from None
    if bad is not None:
        raise JsonFault(f"{bad} has another checksum")
    return "all checksums agree"


def check_measured(manifest: Path) -> str:
    """What was measured of a run, or by a piece of work that is none."""
    try:
        read_checkpoint(manifest.with_suffix(".safetensors"))
    except CheckpointError as fault:
        raise JsonFault(str(fault)) from None
    return "a measure; all sums agree"


WHOSE = record({"experiment": text, "small": flag, "seed": whole()}, open_=True)


def again(folder: Path) -> str:
    """What makes a file of the folder again: the command, as far as its files tell whose it is."""
    for file in (PROTOCOL, RESULT, PART + RESULT):
        with contextlib.suppress(OSError, JsonFault):
            of = parse(files.read_file(folder / file), WHOSE)
            command = go_on(of["experiment"], folder, small=of["small"], seed=of["seed"])
            break
    else:
        command = go_on("NAME", folder)
    return f"remove it: {command} makes it again"


IN_PART = "remove it: what is run in part is kept here when the result beside it went further"


def is_published(path: Path) -> bool:
    """Whether a folder is of `minivae reproduce`: with its runs, or a kept result without them."""
    if matching(path, PROTOCOL) or matching(path, files.temporary(Path(PROTOCOL)).as_posix()):
        return True
    return not is_run(path) and bool(matching(path, RESULT) or matching(path, PART + RESULT))


CHECKS = Checks(
    {
        PROTOCOL: FileCheck(check_protocol, "remove it where the runs are of this very protocol"),
        RESULT: FileCheck(check_result, again),
        PICTURE: FileCheck(check_picture, again),
        PART + RESULT: FileCheck(check_result, IN_PART),
        PART + PICTURE: FileCheck(check_picture, IN_PART),
        f"{DATA}/*-[0-9]*.npz": FileCheck(check_data, again),
        f"{MEASURED}/*.json": FileCheck(check_measured, again),
    },
    is_published,
)

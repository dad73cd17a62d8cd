"""How the files of a published result that lie beside its runs are checked."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from minivae.published.carry_out import DATA, PROTOCOL, PROTOCOL_SCHEMA
from minivae.published.kept import RESULT, read_any_result
from minivae.published.results import PICTURE
from minivae.runs import files
from minivae.runs.fsck import is_run
from minivae.runs.fsck_many import Checks, FileCheck, check_picture, matching
from minivae.runs.strict_json import JsonFault, parse


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


AGAIN = "minivae reproduce --resume makes it again"
KEPT = ("", "part-")  # a result that went less far stands beside the one that went further


def is_published(path: Path) -> bool:
    """Whether a folder is of `minivae reproduce`: with its runs, or a kept result without them."""
    if matching(path, PROTOCOL) or matching(path, files.temporary(Path(PROTOCOL)).as_posix()):
        return True
    return not is_run(path) and any(matching(path, f"{stem}{RESULT}") for stem in KEPT)


CHECKS = Checks(
    {
        PROTOCOL: FileCheck(check_protocol, "remove it where the runs are of this very protocol"),
        **{f"{stem}{RESULT}": FileCheck(check_result, AGAIN) for stem in KEPT},
        **{f"{stem}{PICTURE}": FileCheck(check_picture, AGAIN) for stem in KEPT},
        f"{DATA}/*-[0-9]*.npz": FileCheck(check_data, f"remove it: {AGAIN}"),
    },
    is_published,
)

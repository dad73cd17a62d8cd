"""Files of an export: all of them written, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from minivae.exports.network import ExportError
from minivae.runs.errors import describe_os_error
from minivae.runs.files import put_in_place
from minivae.runs.hints import quoted

TEMPORARY = ".tmp"


def write_all(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files into the folder, which is made if it is not there; their paths.

    Raises ExportError where one exists already or the place cannot be written; nothing is then
    left half-written.
    """
    for name in files:
        if (folder / name).exists():
            raise ExportError(f"{folder / name} exists already: choose another --out folder")
    made = not folder.exists()
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            written.append(folder / (name + TEMPORARY))
            written[-1].write_bytes(content)
        for path in written:
            put_in_place(path, path.with_suffix(""))
    except OSError as error:
        for path in written:
            for leftover in (path, path.with_suffix("")):
                with contextlib.suppress(OSError):
                    leftover.unlink(missing_ok=True)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise ExportError(
            f"cannot write into {quoted(folder)}: {describe_os_error(error)}; choose another --out "
            "folder"
        ) from error
    return [folder / name for name in files]

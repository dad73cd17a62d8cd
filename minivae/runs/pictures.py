"""Whether a picture is whole: a PNG file carries a checksum for each of its parts."""

from __future__ import annotations

import zlib
from pathlib import Path

from minivae.runs import files
from minivae.runs.errors import describe_os_error

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_fault(path: Path) -> str | None:
    """What is wrong with a PNG file, in words; None where every part of it is whole.

    A part is its length, its kind, its bytes and their crc32; the last is called IEND.
    """
    try:
        data = files.read_file(path)
    except OSError as error:
        return describe_os_error(error)
    if not data.startswith(SIGNATURE):
        return "it is no PNG picture"
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if zlib.crc32(data[place + 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
            return "its checksum differs"
        if data[place + 4 : place + 8] == b"IEND":
            return None if end + 4 == len(data) else "it goes on after its end"
        place = end + 4
    return "it ends too early"

"""Commands that messages tell the user to run, written so that a shell takes them as printed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from minivae.parts.register import PARTS_FILES


def command_line(*words: object) -> str:
    """`minivae WORDS`, each word quoted where a shell would take it apart.

    Where parts of the user's own are loaded, so that the command will need them: with --parts.
    """
    parts = [word for file in PARTS_FILES for word in ("--parts", os.path.abspath(file))]
    return shlex.join(["minivae", *(str(word) for word in words), *parts])


def quoted(path: Path | str) -> str:
    """A path as one word of a shell's command."""
    return shlex.quote(os.fspath(path))

"""Commands that messages tell the user to run, written so that a shell takes them as printed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from minivae.parts.register import PARTS_FILES


def command_line(*words: object) -> str:
    """`minivae WORDS`, each word quoted where a shell would take it apart.

    A Path is written whole, so that the command works from any directory. Where parts of the
    user's own are loaded, so that the command will need them: with --parts.
    """
    told = [whole(word) if isinstance(word, Path) else str(word) for word in words]
    parts = [word for file in PARTS_FILES for word in ("--parts", file)]
    return shlex.join(["minivae", *told, *parts])


def whole(path: Path | str) -> str:
    """A path from the root on: what a command that is told can be run with from anywhere."""
    return os.path.abspath(path)


def quoted(path: Path | str) -> str:
    """A path as one word of a shell's command."""
    return shlex.quote(os.fspath(path))

"""Commands that messages tell the user to run, written so that a shell takes them as printed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def command_line(*words: object) -> str:
    """`minivae WORDS`, each word quoted where a shell would take it apart."""
    return shlex.join(["minivae", *(str(word) for word in words)])


def quoted(path: Path | str) -> str:
    """A path as one word of a shell's command."""
    return shlex.quote(os.fspath(path))

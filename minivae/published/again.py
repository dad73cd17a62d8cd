"""The commands that make a result, or go on with it: told wherever one is damaged or in part."""

from __future__ import annotations

import shlex
from pathlib import Path

from minivae.runs.hints import command_line


def go_on(name: str, folder: Path, *more: object, small: bool = False, seed: int = 0) -> str:
    """`minivae reproduce NAME --resume`, with all that tells the result in the folder from others.

    It makes anew what is missing there.
    """
    own = _own(small, seed)
    return command_line("reproduce", name, *own, "--resume", "--out", folder, *more)


def anew(name: str, *, small: bool = False, seed: int = 0) -> str:
    """`minivae reproduce NAME`, which makes the same result on any machine, in its own folder."""
    return shlex.join(["minivae", "reproduce", name, *map(str, _own(small, seed))])


def _own(small: bool, seed: int) -> list[object]:
    return [*(["--small"] if small else []), *(["--seed", seed] if seed else [])]

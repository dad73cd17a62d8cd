"""The command that makes a result, or goes on with it: told wherever one is damaged or in part."""

from __future__ import annotations

from pathlib import Path

from minivae.runs.hints import command_line


def go_on(name: str, folder: Path, *more: object, small: bool = False, seed: int = 0) -> str:
    """`minivae reproduce NAME --resume`, with all that tells the result in the folder from others.

    It makes anew what is missing there.
    """
    own = [*(["--small"] if small else []), *(["--seed", seed] if seed else [])]
    return command_line("reproduce", name, *own, "--resume", "--out", folder, *more)

"""Where compiled code lies: folders named after these sources and the compiler.

Numba is not imported here: whether a first run has to compile is asked before it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path

from minivae_kernels.cpu.compile.own_files import make_own_folder

KEEP_SECONDS = 7 * 24 * 3600  # how long the folder of another version stays
COMPILER = ("numba", "llvmlite", "numpy")


def _version(package: str) -> str:
    """As installed, or as the package says where it was not installed but found."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return str(importlib.import_module(package).__version__)


def versions() -> list[str]:
    """The compiler, from Python down to LLVM."""
    return [sys.version, *map(_version, COMPILER)]


def sources_hash() -> str:
    """A name for exactly this code under exactly this compiler."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(repr(versions()).encode())
    return digest.hexdigest()[:20]


HASH = sources_hash()


def _candidates() -> list[Path]:
    named = os.environ.get("NUMBA_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    roots = [Path(named)] if named else []
    with contextlib.suppress(RuntimeError):  # a user without a home
        roots.append(Path(base).expanduser() / "minivae")
    return roots


def cache_dir() -> Path | None:
    """The first directory that is the user's own and can be written, or None: nothing is kept."""
    return _look_for_one()[0]


def why_not_kept() -> str | None:
    """Why compiled kernels cannot be kept, and what to do about it; None where they can."""
    found, faults = _look_for_one()
    if found is not None:
        return None
    why = "; ".join(faults) or "no home folder is known"
    return f"{why}; set NUMBA_CACHE_DIR to a folder of your own"


def _look_for_one() -> tuple[Path | None, list[str]]:
    faults = []
    for root in _candidates():
        path = root / f"kernels-{HASH}"
        try:
            new = not path.exists()
            make_own_folder(path)
            if new:
                remove_old(root)
            if os.access(path, os.W_OK):
                return path, []
            faults.append(f"{path} cannot be written")
        except OSError as error:
            faults.append(f"{path}: {(error.strerror or str(error)).lower()}")
    return None, faults


def remove_old(root: Path) -> None:
    """Remove what other versions of these sources left, unless it was filled in the last days.

    Two versions used by turns keep both folders; one that only was upgraded leaves nothing.
    """
    for folder in root.glob("kernels-*"):
        named = re.fullmatch("kernels-[0-9a-f]{20}", folder.name)
        if not named or folder.name.endswith(HASH) or folder.is_symlink():
            continue
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if newest < time.time() - KEEP_SECONDS:
                shutil.rmtree(folder)


def readable_dirs() -> list[Path]:
    """Where compiled code may lie: a read-only cache that root filled serves too."""
    return [root / f"kernels-{HASH}" for root in _candidates()]


def may_hold(entry: str) -> bool:
    """Whether some file is there for an entry of this name; for which processor, it will say."""
    return any(path for folder in readable_dirs() for path in folder.glob(f"{entry}-*.bin"))

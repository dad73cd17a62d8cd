"""How the kernels are compiled, and the disk cache that later runs start from.

Numba's own cache keeps an index file per function: two processes that fill it at once can
leave an index that points at the other's code, and an edit in a *called* function is not
noticed. Here every compiled signature is one file, written under a temporary name and renamed,
with a checksum, in a directory named after a hash of these sources and of the compiler.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import njit
from numba.core import serialize
from numba.core.caching import NullCache, _Cache
from numba.core.compiler import CompileResult

# error_model="numpy": no test for zero before each division, which would stop vectorising.
# nogil: the team's threads run side by side. No fast-math: the order of operations is ours.
OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": False}

_QUICK: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
try:  # passes.py leans on Numba's inside; without it kernels compile as well, only slower
    from .passes import InnerCompiler

    _QUICK["pipeline_class"] = InnerCompiler
except (ImportError, AttributeError):  # pragma: no cover - another Numba
    pass


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only other kernels call."""
    return njit(**_QUICK, **OPTIONS)(function)


def inline(function: Callable[..., Any]) -> Any:
    """The same, copied into every caller: what stands in a loop must vectorise with it."""
    return njit(forceinline=True, **_QUICK, **OPTIONS)(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; its machine code is kept on disk."""
    dispatcher = njit(**OPTIONS)(function)
    dispatcher._cache = DiskCache(function)
    _ENTRIES.append(dispatcher)
    return dispatcher


_ENTRIES: list[Any] = []
_MAGIC = b"minivae-kernels-1\n"


def sources_hash() -> str:
    """A name for exactly this code under exactly this compiler."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    digest.update(repr(versions).encode())
    return digest.hexdigest()[:20]


def _candidates() -> list[Path]:
    named = os.environ.get("NUMBA_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    roots = [Path(named)] if named else []
    return [*roots, Path(base).expanduser() / "minivae"]


def cache_dir() -> Path | None:
    """The first directory that can be written, or None: then nothing is kept."""
    for root in _candidates():
        path = root / f"kernels-{_HASH}"
        with contextlib.suppress(OSError):
            path.mkdir(parents=True, exist_ok=True)
            if os.access(path, os.W_OK):
                return path
    return None


def readable_dirs() -> list[Path]:
    """Where compiled code may lie: a read-only cache filled by someone else serves too."""
    return [root / f"kernels-{_HASH}" for root in _candidates()]


_HASH = sources_hash()


class DiskCache(_Cache):
    """One file for each (function, signature, processor)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__module__ + "." + function.__qualname__
        self.hits = self.misses = 0
        self.enabled = True

    @property
    def cache_path(self) -> str:
        return str(cache_dir() or "")

    def filename(self, signature: Any, codegen: Any) -> str:
        """The file's name within the cache directory."""
        key = repr((self.name, str(signature), codegen.magic_tuple()))
        return f"{self.name.rsplit('.', 1)[1]}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.bin"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code, or None where there is none or it is damaged."""
        target_context.refresh()
        if not self.enabled:
            return None
        for directory in readable_dirs():
            path = directory / self.filename(sig, target_context.codegen())
            payload = _read(path)
            if payload is None:
                continue
            with contextlib.suppress(Exception):  # any damage at all only means: compile again
                found = CompileResult._rebuild(target_context, *pickle.loads(payload))
                self.hits += 1
                return found
        self.misses += 1
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code; a full or read-only disk only costs the next compilation."""
        directory = cache_dir() if self.enabled else None
        if directory is None:
            return
        payload = serialize.dumps(data._reduce())
        with contextlib.suppress(OSError):
            _write(directory / self.filename(sig, data.codegen), payload)

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def flush(self) -> None:
        """Nothing is held back, so there is nothing to write."""


def _read(path: Path) -> bytes | None:
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    head, body = raw[: len(_MAGIC) + 32], raw[len(_MAGIC) + 32 :]
    return body if head == _MAGIC + hashlib.sha256(body).digest() else None


def _write(path: Path, payload: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def statistics() -> dict[str, int]:
    """How many functions came from the cache and how many were compiled, in this process."""
    caches = [d._cache for d in _ENTRIES if not isinstance(d._cache, NullCache)]
    return {"hits": sum(c.hits for c in caches), "misses": sum(c.misses for c in caches)}


def any_cached(name: str) -> bool:
    """Whether some compiled form of the entry called `name` lies on disk for this processor."""
    return any(path.is_file() for d in readable_dirs() for path in d.glob(f"{name}-*.bin"))

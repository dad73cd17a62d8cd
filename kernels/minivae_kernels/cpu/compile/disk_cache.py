"""The disk cache that later runs start from: object code under a line of JSON, never a pickle.

Numba's own cache pickles; it keeps an index file per function, so that two processes that fill it
at once can leave an index that points at the other's code; and it does not notice an edit in a
*called* function. Here every compiled signature is one file, written under a temporary name and
renamed, in a directory named after a hash of these sources and of the compiler. It begins with a
checksum of the rest, and says for what it was compiled; any other file is as good as none, and so
is one that somebody else could have written (own_files.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core import config, sigutils
from numba.core.caching import _Cache
from numba.core.registry import cpu_target

from minivae_kernels.cpu.compile import helper
from minivae_kernels.cpu.compile.folders import HASH, cache_dir, readable_dirs, versions
from minivae_kernels.cpu.compile.object_code import Names, put_together, take_apart
from minivae_kernels.cpu.compile.own_files import read_own, write_own

_MAGIC = b"minivae-kernels-2 "
# Of Numba's settings, those that change machine code (SVML: whether Intel's library is called).
SETTINGS = (
    "OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML",
    "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS",
)  # fmt: skip


def processor(codegen: Any) -> list[str]:
    """What the code is compiled for: the platform, the processor's name, its features."""
    return list(codegen.magic_tuple())


class DiskCache(_Cache):
    """One file for each (function, signature, processor, settings)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.hits = self.misses = 0
        self.enabled = True

    @property
    def cache_path(self) -> str:
        return str(cache_dir() or "")

    def identity(self, signature: Any, codegen: Any) -> dict[str, Any]:
        """What a file must say of itself to be taken."""
        arguments, _ = sigutils.normalize_signature(signature)
        return {
            "function": f"{self.function.__module__}.{self.function.__qualname__}",
            "arguments": [str(kind) for kind in arguments],
            "processor": processor(codegen),
            "settings": {name: str(getattr(config, name, None)) for name in SETTINGS},
            "versions": versions(),
            "sources": HASH,
        }

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code, or None where there is none that fits and is whole."""
        if not self.enabled:
            return None
        made = self._from_disk(sig, target_context)
        if made is None:
            name = self.function.__name__
            made = helper.waited_for(name, lambda: self._from_disk(sig, target_context))
        self.hits, self.misses = self.hits + (made is not None), self.misses + (made is None)
        return made

    def _from_disk(self, sig: Any, target_context: Any) -> Any:
        identity = self.identity(sig, target_context.codegen())
        arguments, _ = sigutils.normalize_signature(sig)
        for directory in readable_dirs():
            about, code = read(directory / filename(identity))
            if about.get("identity") != identity:
                continue
            with contextlib.suppress(Exception):  # whatever is amiss only means: compile again
                return put_together(self.function, arguments, target_context, about["names"], code)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code; a full or read-only disk only costs the next compilation."""
        directory = cache_dir() if self.enabled else None
        if directory is None:
            return
        with contextlib.suppress(Exception):  # the kernel is compiled, kept or not
            identity = self.identity(sig, data.codegen)
            if parts := take_apart(data):
                write(directory / filename(identity), identity, *parts)

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def flush(self) -> None:
        """Nothing is held back, so there is nothing to write."""


def filename(identity: dict[str, Any]) -> str:
    """The file's name within the cache directory."""
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return f"{identity['function'].rsplit('.', 1)[1]}-{digest[:24]}.bin"


def read(path: Path) -> tuple[dict[str, Any], bytes]:
    """What the file says of itself, and its code; nothing at all if it is not whole or not ours."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        head, _, rest = read_own(path).partition(b"\n")
        if head == _head(rest):
            about, _, code = rest.partition(b"\n")
            return json.loads(about), code
    return {}, b""


def _head(rest: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(rest).hexdigest().encode()


def write(path: Path, identity: dict[str, Any], names: Names, code: bytes) -> None:
    """One whole file or none: other processes read and write here too."""
    about = json.dumps({"identity": identity, "names": names}).encode()
    rest = about + b"\n" + code
    write_own(path, _head(rest) + b"\n" + rest)


def any_cached(name: str) -> bool:
    """Whether some compiled form of the entry called `name` lies on disk for this processor."""
    here = processor(cpu_target.target_context.codegen())
    files = (path for d in readable_dirs() for path in d.glob(f"{name}-*.bin"))
    return any(read(p)[0].get("identity", {}).get("processor") == here for p in files)

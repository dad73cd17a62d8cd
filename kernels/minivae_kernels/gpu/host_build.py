"""Build the CUDA sources for the host: g++, the shim in `host/`, one library a number type."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from minivae_kernels.gpu import sources

SHIM = Path(__file__).parent / "host"
FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE")
PLAIN = ("-ffp-contract=off",)
# What NVRTC does unasked, and what CuPy asks it for: a b + c is rounded once, and numbers below
# 1.2e-38 are 0.
AS_ON_A_CARD = ("-ffp-contract=fast", "-mfma", "-DAS_ON_A_CARD")


def compiler() -> str | None:
    """The path of g++, or None where there is none."""
    return shutil.which("g++")


def own_folder() -> Path:
    """A temporary folder that only this user can write to, so that nobody else's code is loaded."""
    folder = Path(tempfile.gettempdir()) / f"minivae-host-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if state.st_uid != os.getuid() or state.st_mode & 0o022 or not stat.S_ISDIR(state.st_mode):
        return Path(tempfile.mkdtemp(prefix="minivae-host-"))
    return folder


def program(real: str, files: tuple[str, ...], folder: Path) -> str:
    """One C++ text: shim, all kernels in an unnamed namespace, and a numbered launcher."""
    names = [kernel for name in files for kernel in sources.kernels(name, folder)]
    table = ",\n".join(f"    Call<{name}>::run" for name in names)
    return f"""#define REAL {real}
#include "{SHIM / "shim.cpp"}"
namespace {{
{sources.whole(files, folder)}
void (*const table[])(void**) = {{
{table}
}};
}}  // namespace
extern "C" const char* minivae_launch(int number, const unsigned int* grid, unsigned int threads,
                                      void** args, unsigned long long order) {{
    return shim::launch(table[number], grid, threads, args, order);
}}
"""


@cache
def build(
    real: str,
    files: tuple[str, ...] = sources.FILES + sources.LADDER,
    folder: Path = sources.FOLDER,
    rounding: tuple[str, ...] = PLAIN,
) -> Any:
    """Compile (once for each text, kept in the temporary folder) and load the host library.

    rounding: PLAIN, each operation by itself, or AS_ON_A_CARD.
    """
    gcc = compiler()
    if gcc is None:
        raise RuntimeError("the host build needs g++, and there is none on the path")
    text = program(real, files, folder)
    shim = [(SHIM / name).read_text() for name in ("shim.h", "shim.cpp")]
    digest = hashlib.sha256("".join([text, *FLAGS, *rounding, *shim]).encode()).hexdigest()[:16]
    library = own_folder() / f"{digest}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory() as scratch:
            source, made = Path(scratch) / "host.cpp", Path(scratch) / "host.so"
            source.write_text(text, encoding="utf-8")
            command = [gcc, *FLAGS, *rounding, str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"g++ refuses the kernels:\n{done.stderr[:4000]}")
            partial = library.with_suffix(f".{os.getpid()}-{id(text)}.tmp")
            shutil.copy(made, partial)
            partial.replace(library)  # in one go: another process may be doing the same
    lib = ctypes.CDLL(str(library))
    lib.minivae_launch.restype = ctypes.c_char_p
    return lib

"""The header of every result: processor, cores, BLAS and its core type, versions, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minivae.machine import commit_of, processor
from minivae.racing.load import cores

from . import ROOT

PACKAGES = (
    *("numpy", "numba", "llvmlite", "torch", "triton", "jax", "jaxlib"),
    *("jax-cuda12-plugin", "jax-cuda13-plugin", "cupy-cuda12x", "cupy-cuda13x"),
    *("nvidia-cublas-cu12", "nvidia-cublas", "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc"),
)


def vector_extensions() -> list[str]:
    """The wide instruction sets the processor reports, of those that matter here."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "asimd", "sve") if f in flags]


def blas() -> list[str]:
    """The BLAS libraries loaded into this process, with the core type each chose."""
    try:
        import threadpoolctl
    except ImportError:
        return ["unknown: threadpoolctl is not installed"]
    import numpy.linalg  # noqa: F401  (loads the BLAS)

    pools = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    return [f"{p['internal_api']} {p['version']} {p.get('architecture', '?')}" for p in pools]


def gpu() -> str | None:
    """The card's name and driver, or None."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0] or None


def commit() -> str:
    """The short commit, with '+' when the measured sources differ; 'unknown' outside git."""
    return commit_of(ROOT, "minivae", "kernels", "benchmarks/*.py") or "unknown"


def versions() -> dict[str, str]:
    """Versions of Python and of whatever contenders are installed; nothing is imported."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def header(threads: int | None = None) -> dict[str, Any]:
    """Everything a reader needs to judge a figure."""
    return {
        "processor": processor(),
        "cores": len(cores()),
        "threads": threads or len(cores()),
        "vectors": vector_extensions(),
        "gpu": gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": blas(),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE", ""),
        "versions": versions(),
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def lines(head: dict[str, Any]) -> list[str]:
    """The header for people."""
    found = head["versions"]
    return [
        f"{head['processor']}, {head['cores']} cores, {head['threads']} threads, "
        f"{' '.join(head['vectors'])}" + (f", {head['gpu']}" if head["gpu"] else ""),
        f"BLAS: {'; '.join(head['blas'])}",
        " ".join(f"{k} {v}" for k, v in found.items()) + f", commit {head['commit']}",
    ]


def headed(rows: list[dict[str, Any]], text: str) -> str:
    """A table below the machine that its figures are of, with the versions and the commit."""
    heads = [row["machine"] for row in rows if "machine" in row]
    return "\n".join([*(lines(heads[-1]) if heads else []), text])

"""What computes here: processor, cores, BLAS, versions, and the commit of these sources."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from minivae import __version__


def describe_machine() -> dict[str, Any]:
    """Processor, cores, BLAS and versions."""
    versions: dict[str, str | None] = {"minivae": __version__, "python": sys.version.split()[0]}
    for name in (
        "numpy",
        "numba",
        "cupy-cuda12x",
        "cupy-cuda13x",
        "scikit-learn",
        "matplotlib",
        "safetensors",
    ):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "versions": versions,
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str:
    """The short commit of the tree this package stands in, with '+' where it differs; else ''."""
    root = Path(__file__).resolve().parents[1]

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    if not (root / ".git").exists():
        return ""
    try:
        return git("rev-parse", "--short", "HEAD") + (
            "+" if git("status", "--porcelain", "--", "minivae", "kernels") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return ""

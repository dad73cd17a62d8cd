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
    """The processor's name, with family and model where the name alone says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or facts.get("CPU part") or platform.machine()
    return f"{name} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"


def commit() -> str:
    """The short commit of the tree this package stands in, with '+' where it differs; else ''."""
    return commit_of(Path(__file__).resolve().parents[1], "minivae", "kernels")


def commit_of(root: Path, *sources: str) -> str:
    """The short commit of a tree, with '+' where one of its `sources` differs; '' outside git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    if not (root / ".git").exists():
        return ""
    try:
        head, changed = (
            git("rev-parse", "--short", "HEAD"),
            git("status", "--porcelain", "--", *sources),
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head + ("+" if changed else "")

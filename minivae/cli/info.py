"""`minivae info`: which file implements each op on each backend, and what machine this is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from minivae.cli import options
from minivae.cli.command import command


@command(short_help="Print each op's file, and the machine.")
def info(
    backend: str = typer.Option(None, help="Only this backend: numpy, numba or cupy."),
    threads: int = options.THREADS,
    as_json: bool = options.JSON,
) -> None:
    """Print op -> implementing file for each backend, and the machine."""
    from minivae.backend import BACKENDS
    from minivae.cli.console import Console
    from minivae.cli.options import choose
    from minivae.machine import describe_machine

    if backend is not None:
        choose("--backend", backend, BACKENDS)
    names = BACKENDS if backend is None else (backend,)
    backends = {name: describe_backend(name, threads) for name in names}
    facts = {"machine": describe_machine(), "backends": backends}
    Console(as_json=as_json).result(facts, as_text(facts))


def describe_backend(name: str, threads: int | None) -> dict[str, Any]:
    """The files of a backend's ops, or why it cannot run here."""
    from minivae.backend import BackendUnavailable, load_backend

    try:
        K = load_backend(name, threads)
    except BackendUnavailable as reason:
        return {"available": False, "reason": str(reason), "ops": {}}
    from minivae.training.step import ReferenceStep

    step = K.fused_step or ReferenceStep.__call__
    place = step.__code__.co_filename
    ops = {op: short(file) for op, file in K.files.items()}
    return {"available": True, "reason": None, "ops": {**ops, "make_step": short(place)}}


def short(file: str) -> str:
    """A file's path from the package's name on: minivae/ops/dense.py."""
    parts = Path(file).parts
    for package in ("minivae_kernels", "minivae"):
        if package in parts:
            start = len(parts) - 1 - parts[::-1].index(package)
            return "/".join(parts[start:])
    return Path(file).name


def as_text(facts: dict[str, Any]) -> str:
    """The facts as lines: one row per op, one column per backend."""
    machine, backends = facts["machine"], facts["backends"]
    versions = ", ".join(f"{k} {v or '(none)'}" for k, v in machine["versions"].items())
    lines = [
        f"machine   {machine['processor']}, {machine['cores']} cores, {machine['system']}",
        f"blas      {machine['blas']}",
        f"versions  {versions}",
        "",
    ]
    for name, facts_of in backends.items():
        state = "available" if facts_of["available"] else facts_of["reason"]
        lines.append(f"{name:<9} {state}")
    running = [name for name, facts_of in backends.items() if facts_of["available"]]
    if not running:
        return "\n".join(lines)
    width = {name: max(map(len, backends[name]["ops"].values())) for name in running}
    ops = list(backends[running[0]]["ops"])
    head = "  ".join(f"{name:<{width[name]}}" for name in running)
    lines += ["", f"{'op':<30}{head}".rstrip()]
    for op in ops:
        row = "  ".join(f"{backends[n]['ops'].get(op, ''):<{width[n]}}" for n in running)
        lines.append(f"{op:<30}{row}".rstrip())
    return "\n".join(lines)

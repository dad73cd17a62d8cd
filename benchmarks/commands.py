"""What each command does: read the arguments, run, print a table or leave it to --json."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .cases import CaseError, parse_arch

Rows = list[dict[str, Any]]


class UserError(ValueError):
    """Something the user can mend; printed as one line."""


@contextmanager
def unavailable() -> Iterator[None]:
    """A backend that cannot run here is the user's to mend, not a traceback."""
    from minivae.backend import BackendUnavailable

    try:
        yield
    except BackendUnavailable as error:
        raise UserError(str(error)) from None


def backend_or_exit(name: str) -> None:
    """Before minutes of peers are timed for a race that ours cannot run in."""
    from minivae.backend import load_backend

    with unavailable():
        load_backend(name)


def show(args: argparse.Namespace, text: str) -> None:
    """Print the table, unless JSON was asked for."""
    if not args.json:
        print(text)


def step(args: argparse.Namespace) -> Rows:
    """The whole training step."""
    from . import step as module
    from .step_text import table
    from .timing import StopRule

    on_gpu = args.backend == "cupy"
    default = [128, 512, 2048, 8192, 32768] if on_gpu else [20, 128, 512, 1024, 4096]
    peers = tuple(module.PEERS)
    if args.peers is not None:
        peers = tuple(p for p in args.peers.split(",") if p and p != "none")
        for peer in peers:
            if peer not in module.PEERS:
                raise UserError(f"unknown peer {peer!r}; known: {', '.join(module.PEERS)}")
    try:
        cases = [parse_arch(a, b) for a in args.arch.split(",") for b in args.batch or default]
    except CaseError as error:
        raise UserError(str(error)) from None
    backend_or_exit(args.backend)
    alone = (f"minivae-{args.backend}:1",) if args.scaling else ()
    options = module.Options(
        backend=args.backend, peers=peers, threads=args.threads, cold=args.cold,
        rule=StopRule(seconds=args.seconds), extra_contenders=alone,
    )  # fmt: skip
    rows = module.run(cases, options, store=not args.no_store)
    show(args, table(rows))
    return rows


def ops(args: argparse.Namespace) -> Rows:
    """Every kernel, or the named ones."""
    from . import ops as module
    from .op_cases import CASES

    for name in args.names:
        if name not in CASES:
            raise UserError(f"unknown op {name!r}; known: {', '.join(CASES)}")
    with unavailable():
        return module.run(args.names, args.backend, args.size, args.threads, not args.no_store)


def products(args: argparse.Namespace) -> Rows:
    """The products against BLAS."""
    from . import products as module

    return module.run(args.batch, args.threads, not args.no_store)


def ladder(args: argparse.Namespace) -> Rows:
    """The numbered versions."""
    from . import ladders as module

    try:
        rows = module.run(args.name, args.threads, not args.no_store, args.write)
    except module.LadderError as error:
        raise UserError(str(error)) from None
    show(args, module.table(rows))
    return rows


def roofline(args: argparse.Namespace) -> Rows:
    """The measured peaks."""
    from . import roofline as module

    rows = module.run(args.threads, not args.no_store)
    if args.plot:
        module.plot(rows[-1], Path(args.plot))
    show(args, module.table(rows))
    return rows


def report(args: argparse.Namespace) -> Rows:
    """The README's table."""
    from . import report as module
    from .results import ResultsError

    try:
        text = module.write(Path(args.readme))
    except (module.ReportError, ResultsError) as error:
        raise UserError(str(error)) from None
    show(args, text)
    return [{"report": args.readme}]


def compare(args: argparse.Namespace) -> Rows:
    """Two runs."""
    from . import compare as module
    from .results import ResultsError

    try:
        rows = module.run(args.a, args.b)
    except (module.CompareError, ResultsError) as error:
        raise UserError(str(error)) from None
    show(args, module.table(rows))
    return rows


def smoke(args: argparse.Namespace) -> Rows:
    """Correctness only."""
    from . import smoke as module

    rows = module.run(args.threads)
    show(args, module.table(rows))
    return rows

"""What each command does: read the arguments, run, print a table or leave it to --json."""

from __future__ import annotations

import argparse
from typing import Any

from .cases import CaseError, parse_arch

Rows = list[dict[str, Any]]


class UserError(ValueError):
    """Something the user can mend; printed as one line."""


def show(args: argparse.Namespace, text: str) -> None:
    """Print the table, unless JSON was asked for."""
    if not args.json:
        print(text)


def step(args: argparse.Namespace) -> Rows:
    """The whole training step."""
    from . import step as module
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
    options = module.Options(
        args.backend, peers, args.threads, StopRule(seconds=args.seconds), args.cold
    )
    rows = module.run(cases, options, store=not args.no_store)
    show(args, module.table(rows))
    return rows

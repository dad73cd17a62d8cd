"""The options of `step`: what does not exist, or means nothing beside the others, is refused."""

from __future__ import annotations

import argparse
from dataclasses import replace

from minivae.racing.statistics import StopRule

from .entrants import known_peers
from .user_errors import UserError, at_least_one, drawable, positive

#: of a case's rounds: at least six, which have an interval, however long they take
RULE = StopRule(seconds=30.0, fewest=6)


def peers_named(args: argparse.Namespace) -> tuple[str, ...] | None:
    """The peers that are named, none of them unknown; None where all are meant."""
    if args.peers is None:
        return None
    peers = tuple(p for p in args.peers.split(",") if p and p != "none")
    known = known_peers("gpu" if args.backend == "cupy" else "cpu")
    for peer in peers:
        if peer.partition(":")[0] not in known:
            raise UserError(f"unknown peer {peer!r}; known: {', '.join(known)}")
    return peers


def refuse_what_does_not_fit(args: argparse.Namespace) -> None:
    """UserError where an option would mean nothing beside the others."""
    if args.tf32 and args.backend != "cupy":
        raise UserError(f"--tf32 belongs to --backend cupy, not {args.backend}: a card's products")
    if args.bf16 and args.backend != "numba":
        raise UserError(f"--bf16 belongs to --backend numba, not {args.backend}: AVX512-BF16")
    if args.scaling and args.backend != "numba":
        raise UserError(f"--scaling belongs to --backend numba, not {args.backend}: our threads")
    if args.block_steps is not None:
        at_least_one("--block-steps", [args.block_steps])
    if min(args.busy) < 0:
        raise UserError("--busy counts processes: give numbers from 0 on, as in 0,1,2,4")
    if args.seconds is not None:
        positive("--seconds", args.seconds)
    if args.plot and not args.phases:
        raise UserError("--plot belongs to --phases: it draws the threads' timeline")
    drawable("--plot", args.plot)
    race = {"--peers": args.peers is not None, "--scaling": args.scaling, "--cold": args.cold,
            "--busy": args.busy != [0], "--block-steps": args.block_steps is not None,
            "--seconds": args.seconds is not None, "--no-store": args.no_store}  # fmt: skip
    told = [option for option, given in race.items() if given]
    if args.phases and told:
        raise UserError(f"{', '.join(told)}: of a race; --phases times our step alone, unstored")


def rule_of(args: argparse.Namespace) -> StopRule:
    """When the rounds of a case end."""
    return RULE if args.seconds is None else replace(RULE, seconds=args.seconds)

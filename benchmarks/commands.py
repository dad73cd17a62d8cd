"""What each command does: read the arguments, run, print a table or leave it to --json."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import machine
from .cases import CaseError, StepCase, has_pixels, parse_arch
from .step_options import peers_named, refuse_what_does_not_fit, rule_of
from .user_errors import (
    UserError,
    at_least_one,
    backend_or_exit,
    drawable,
    positive,
    unavailable,
    user_errors,
    writable,
)

Rows = list[dict[str, Any]]
ARCHS = ("784-400-20:relu", "784-200-200-50:tanh")
WITH_PIXELS = "784-400-20:relu:mnist"


def progress(text: str) -> None:
    """Say what is going on, beside the results."""
    print(text, file=sys.stderr, flush=True)


def show(args: argparse.Namespace, text: str) -> None:
    """Print the table, unless JSON was asked for."""
    if not args.json:
        print(text)


def show_table(args: argparse.Namespace, module: Any, rows: Rows) -> Rows:
    """The rows, once the module's table of them is printed."""
    show(args, module.table(rows))
    return rows


def step(args: argparse.Namespace) -> Rows:
    """The whole training step."""
    from . import step as module
    from .step_text import table

    peers = peers_named(args)
    refuse_what_does_not_fit(args)
    on_gpu = args.backend == "cupy"
    default = [128, 512, 2048, 8192, 32768] if on_gpu else [20, 128, 512, 1024, 4096]
    with user_errors(CaseError):
        archs = args.arch or ",".join([*ARCHS, *([WITH_PIXELS] if has_pixels("mnist") else [])])
        cases = [parse_arch(a, b) for a in archs.split(",") for b in args.batch or default]
    if args.phases:
        return phases(args, cases)
    backend_or_exit(args.backend, args.threads, tf32=args.tf32, bf16=args.bf16)
    alone = (f"minivae-{args.backend}:1",) if args.scaling else ()
    options = module.StepOptions(
        backend=args.backend, peers=peers, threads=args.threads, cold=args.cold,
        tf32=args.tf32, bf16=args.bf16, rule=rule_of(args),
        extra_contenders=alone, busy=tuple(args.busy), block_steps=args.block_steps,
    )  # fmt: skip
    rows = module.run(cases, options, store=not args.no_store)
    show(args, table(rows))
    return rows


def phases(args: argparse.Namespace, cases: list[StepCase]) -> Rows:
    """Where the time of our own step goes."""
    from . import phases as module
    from .phase_timer import NoTimer

    with unavailable(), user_errors(ValueError, NoTimer):
        rows = [module.measure(case, args.backend, args.threads, bf16=args.bf16) for case in cases]
    if args.plot:
        module.plot(rows[0], Path(args.plot))
    show(args, "\n\n".join(map(module.table, rows)))
    return [module.stored(row) for row in rows]


def ops(args: argparse.Namespace) -> Rows:
    """Every kernel, or the named ones."""
    from . import ops as module

    known_ops(args.names)
    backend_or_exit(args.backend)
    if args.backend == "cupy":  # these clocks and roofs are a processor's
        raise UserError(
            "a card's kernels are timed by its own clock, against a copy: "
            "python -m benchmarks bandwidth"
        )
    with unavailable():
        rows = module.run(args.names, args.backend, args.size, args.threads, not args.no_store)
    show(args, machine.headed(rows, module.table(rows)))
    return rows


def known_ops(names: list[str]) -> None:
    """UserError where there is no op of such a name."""
    from minivae.ops.table import FUNCTIONS

    for name in names:
        if name not in FUNCTIONS:
            raise UserError(f"unknown op {name!r}; known: {', '.join(FUNCTIONS)}")


def bandwidth(args: argparse.Namespace) -> Rows:
    """A card's kernels against a copy."""
    from minivae_kernels import Unavailable

    from . import bandwidth as module

    at_least_one("--rows", [args.rows])
    with user_errors(Unavailable, MemoryError):
        return show_table(args, module, module.run(args.rows))


def selftest(args: argparse.Namespace) -> Rows:
    """The benchmark itself."""
    from . import selftest as module

    at_least_one("--races", [args.races])
    positive("--seconds", args.seconds)
    rows = module.run(args.races, args.seconds, store=not args.no_store)
    return show_table(args, module, rows)


def products(args: argparse.Namespace) -> Rows:
    """The products against BLAS."""
    from . import products as module

    with user_errors(CaseError):
        for batch in args.batch:
            parse_arch(ARCHS[0], batch)
    backend_or_exit("numba", args.threads)
    return module.run(args.batch, args.threads, not args.no_store)


def ladder(args: argparse.Namespace) -> Rows:
    """The numbered versions."""
    from . import gpu_ladders, gpu_predictions, ladders

    if args.rows is not None and (args.backend != "cupy" or args.rows < 1 or args.write):
        raise UserError("--rows N, from 1 on, belongs to --backend cupy, and not to --write")
    if args.predict and args.backend != "cupy":
        raise UserError("--predict belongs to --backend cupy: a processor's rungs are timed")
    if args.predict and (args.rows is not None or args.no_store):
        raise UserError("--predict counts, and times and stores nothing: no --rows, no --no-store")
    if args.threads is not None and args.backend == "cupy":
        raise UserError("--threads belongs to --backend numba: a card's rungs have none")
    with user_errors(ladders.LadderError):
        if args.predict:
            rows = gpu_predictions.run(args.name, args.write)
            show(args, gpu_predictions.table(rows))
            return rows
        if args.backend == "cupy":
            with unavailable():
                rows = gpu_ladders.run(args.name, not args.no_store, rows=args.rows)
            if args.write:
                gpu_predictions.run(args.name, write=True, measured=rows)
        else:
            rows = ladders.run(args.name, args.threads, not args.no_store, args.write)
    show(args, machine.headed(rows, ladders.table(rows)))
    return rows


def roofline(args: argparse.Namespace) -> Rows:
    """The measured peaks."""
    from . import roofline as module

    drawable("--plot", args.plot)
    rows = module.run(args.threads, not args.no_store)
    if args.plot:
        module.plot(rows[-1], Path(args.plot))
    show(args, module.table(rows))
    return rows


def report(args: argparse.Namespace) -> Rows:
    """The README's table."""
    from . import report as module
    from .results import ResultsError

    with user_errors(module.ReportError, ResultsError, OSError):
        text = module.write(Path(args.readme))
    show(args, text)
    return [{"report": args.readme}]


def compare(args: argparse.Namespace) -> Rows:
    """Two runs."""
    from . import compare as module
    from .results import ResultsError

    with user_errors(module.CompareError, ResultsError):
        return show_table(args, module, module.run(args.a, args.b))


def card(args: argparse.Namespace) -> Rows:
    """Everything that only a card can tell."""
    from . import card as module

    positive("--seconds", args.seconds)
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: is a file, not a folder")
    with user_errors(OSError):
        out.mkdir(parents=True, exist_ok=True)
    rows = module.run(args.seconds, out, module.stages(rehearse=args.rehearse))
    show(args, f"{module.page(rows)}\n\nwritten to {out / 'card.json'} and {out / 'card.txt'}")
    return rows


def card_facts(args: argparse.Namespace) -> Rows:
    """What card it is."""
    from minivae_kernels import Unavailable

    from . import card as module

    with user_errors(Unavailable):
        rows = module.facts()
    args.json = True
    return rows


def history(args: argparse.Namespace) -> Rows:
    """Results by commit: CSV, picture, page."""
    from . import history as module
    from .compare import CompareError
    from .results import ResultsError

    for name in ("csv", "plot", "html"):
        writable(f"--{name}", getattr(args, name))
    with user_errors(CompareError, ResultsError):
        found = module.run(args.words)
    for name, make in (("csv", module.as_csv), ("plot", module.draw), ("html", module.page)):
        if getattr(args, name):
            Path(getattr(args, name)).write_text(make(found), encoding="utf-8")
    if not (args.csv or args.plot or args.html):
        show(args, module.as_csv(found))
    return found


def alarm(args: argparse.Namespace) -> Rows:
    """This tree's kernels against another commit's, in one run."""
    from . import alarm as module

    known_ops(args.ops)
    positive("--seconds", args.seconds)
    with user_errors(module.AlarmError), unavailable():
        rule = replace(module.RULE, seconds=args.seconds)
        rows = module.run(args.against, args.threads, tuple(args.ops), rule=rule, say=progress)
    show(args, module.table(rows))
    return rows


def mpi(args: argparse.Namespace) -> Rows:
    """One run over several processes."""
    from . import mpi as module

    at_least_one("--batch", args.batch)
    positive("--seconds", args.seconds)
    with user_errors(module.MpiError):
        return show_table(args, module, module.run(args.batch, args.seconds, not args.no_store))


def smoke(args: argparse.Namespace) -> Rows:
    """Correctness only."""
    from . import smoke as module

    return show_table(args, module, module.run(args.threads))


def checkers(args: argparse.Namespace) -> Rows:
    """Who lets wrong passes through, who alarms on right ones; into a page with --write."""
    from . import checkers as peers

    if args.write:
        with user_errors(OSError, ValueError):
            peers.marked(Path(args.write))
        writable("--write", args.write)
    try:
        rows = peers.compare(lambda text: None if args.json else print(text, flush=True))
    except ModuleNotFoundError as error:
        raise UserError(f"{error}: run it at the root of the source tree") from None
    lines = peers.table(rows)
    if not args.json:
        print("\n".join(lines))
    if args.write:
        peers.write(Path(args.write), lines)
    return rows

"""The benchmarks' command line: python -m benchmarks COMMAND --help."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

#: commands to which a number of threads means something, and those whose rows are kept
THREADED = ("step", "ops", "products", "ladder", "roofline", "alarm", "smoke")
KEPT = ("step", "ops", "selftest", "products", "ladder", "roofline", "mpi")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _step_options(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--batch",
        type=_numbers,
        default=None,
        help="batch sizes, comma-separated "
        "(default 20,128,512,1024,4096; on cupy 128,512,2048,8192,32768)",
    )
    p.add_argument(
        "--arch", default=None, help="sizes:words, as in 784-200-200-50:tanh:dynamic or "
        "784-400-20:relu:mnist (default: two, and MNIST's pixels where MINIVAE_DATA has them)"
    )  # fmt: skip
    p.add_argument(
        "--busy", type=_numbers, default=[0], help="race beside so many busy processes, as in 0,1,2"
    )
    p.add_argument(
        "--phases", action="store_true", help="where our step's time goes, phase by phase"
    )
    p.add_argument("--plot", default="", metavar="FILE.svg", help="--phases: the threads' timeline")
    p.add_argument("--backend", choices=("numba", "numpy", "cupy"), default="numba")
    p.add_argument(
        "--peers",
        default=None,
        help="of jax,torch-compile,torch-eager (cupy: jax-unrolled,torch-graph too), or none",
    )
    p.add_argument("--tf32", action="store_true", help="cupy: everyone's products in TF32")
    p.add_argument(
        "--bf16", action="store_true", help="numba: everyone's products in bfloat16, the peers' too"
    )
    p.add_argument("--seconds", type=float, default=None,
                   help="time limit of one case's rounds (default 30)")  # fmt: skip
    p.add_argument("--block-steps", type=int, default=None, metavar="N",
                   help="updates in a timed block (default: by the work)")  # fmt: skip
    p.add_argument("--scaling", action="store_true", help="also race ours on one thread")
    p.add_argument("--cold", action="store_true", help="compile into empty caches, and say so")


def parser() -> argparse.ArgumentParser:
    """The commands; nothing heavy is imported until one of them runs."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    threads = argparse.ArgumentParser(add_help=False)
    threads.add_argument("--threads", type=int, default=None, help="threads (default: the cores)")
    kept = argparse.ArgumentParser(add_help=False)
    kept.add_argument("--no-store", action="store_true", help="leave benchmarks/results alone")
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        parents = [common]
        parents += [threads] if name in THREADED else []
        parents += [kept] if name in KEPT else []
        return sub.add_parser(name, help=text, description=text, parents=parents)

    _step_options(command("step", "the whole training step against JAX and PyTorch"))
    p = command("ops", "every kernel against naive NumPy, the best NumPy and the limit")
    p.add_argument("names", nargs="*", help="ops to time (default: all)")
    p.add_argument("--backend", choices=("numba", "numpy", "cupy"), default="numba")
    p.add_argument("--size", choices=("cache", "memory"), default="cache")
    p = command("bandwidth", "a card's kernels against a copy, by the card's own clock")
    p.add_argument("--rows", type=int, default=65536, help="of 784 columns; 205 MB an array")
    p = command("selftest", "cheats tried and refused, intervals checked, A raced against A")
    p.add_argument("--races", type=int, default=200, help="races of a kernel against itself")
    p.add_argument("--seconds", type=float, default=float("inf"), metavar="S",
                   help="at most so long for the cheats, and for the races: the same command goes "
                   "on from there")  # fmt: skip
    command("race", "your own kernels: minivae race (python -m benchmarks race --help)")
    p = command("products", "the matrix product at the model's shapes against NumPy's BLAS")
    p.add_argument("--batch", type=_numbers, default=[20, 128, 512])
    p = command("ladder", "the numbered versions of one op, slow to fast")
    p.add_argument(
        "name",
        nargs="?",
        default="",
        help="product, likelihood, latent, adam or exp; on cupy product, likelihood, latent, step",
    )
    p.add_argument("--backend", choices=("numba", "cupy"), default="numba")
    p.add_argument("--write", action="store_true", help="regenerate kernels/README.md's tables")
    p.add_argument("--rows", type=int, default=None, metavar="N",
                   help="cupy: a rehearsal, with so many rows")  # fmt: skip
    p.add_argument(
        "--predict", action="store_true", help="cupy: what the rungs take, without a card"
    )
    p = command("roofline", "measured peaks of arithmetic and memory, and where the ops lie")
    p.add_argument("--plot", default="", metavar="FILE.svg")
    p = command("report", "regenerate the README's table from benchmarks/results")
    p.add_argument("--readme", default="README.md")
    command("published", "regenerate PUBLISHED.md and the README's rows from the kept results")
    p = command("card", "everything that only a card can tell, inside a given time")
    p.add_argument("--seconds", type=float, default=480.0, help="for all stages together")
    p.add_argument("--out", default="card-results", metavar="DIR")
    p.add_argument("--rehearse", action="store_true", help="every stage at its smallest")
    command("card-facts", "what card this is, and the versions")
    p = command("history", "every result by commit: CSV, a picture, one HTML page")
    p.add_argument("words", nargs="?", default="", help="only what holds these words")
    p.add_argument("--csv", default="", metavar="FILE.csv")
    p.add_argument("--plot", default="", metavar="FILE.svg")
    p.add_argument("--html", default="", metavar="FILE.html")
    p = command("alarm", "this tree's kernels against a commit's, interleaved; 1 where slower")
    p.add_argument("ops", nargs="*", help="ops to race (default: what a step spends its time on)")
    p.add_argument("--against", default="", metavar="COMMIT",
                   help="default: the newest whose results are kept here")  # fmt: skip
    p.add_argument("--seconds", type=float, default=20.0, help="time limit of each op's rounds")
    p = command("compare", "two results files, or two commits, whatever was measured")
    p.add_argument("a")
    p.add_argument("b")
    p = command("checkers", "gradient checkers of four other projects on the same thirty passes")
    p.add_argument("--write", default="", metavar="FILE.md", help="renew the table in this page")
    p = command("mpi", "one run over 1, 2 and 4 processes, and what that predicts for a cluster")
    p.add_argument("--batch", type=_numbers, default=[128, 1024])
    p.add_argument("--seconds", type=float, default=4.0, help="of each case, all rounds together")
    command("smoke", "a short run for CI: correctness only, never fails on seconds")
    return top


def function_of(command: str) -> Any:
    """The function of a command, in `commands` or in a file of its own name."""
    from . import commands

    name = command.replace("-", "_")
    if hasattr(commands, name):
        return getattr(commands, name)
    return getattr(importlib.import_module(f"{__package__}.{name}"), name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it was asked, 1 otherwise, 2 for bad arguments."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["race"]:  # its options are those of `minivae race`
        from minivae.cli.main import run

        return run(given)
    args = parser().parse_args(given)
    from minivae.racing.file_race import cores_for
    from minivae.racing.problem import ProblemError

    from .user_errors import UserError, at_least_one

    try:
        threads = getattr(args, "threads", None)
        if threads is not None:
            at_least_one("--threads", [threads])
            cores_for(threads)
        rows: list[dict[str, Any]] = function_of(args.command)(args)
    except (UserError, ProblemError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if args.json:
        for row in rows:
            print(json.dumps(row, sort_keys=True))
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())

"""The work behind `minivae verify`: each kind of proof, printed as it comes, and as values."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from minivae.backend import load_backend
from minivae.cli.backends import choose_backend
from minivae.cli.console import Console
from minivae.cli.options import UsageError
from minivae.cli.run_view import save_text
from minivae.proof import cases, fifty_digits, meaning
from minivae.proof.corpus import Board, run_corpus
from minivae.proof.curves import curves
from minivae.proof.figures import measure, worst
from minivae.proof.full_size import FullSize, score_plants
from minivae.proof.html_page import page
from minivae.proof.kernel_threads import threads_agree
from minivae.proof.kernels import check_kernels
from minivae.proof.mutation_score import MutationScore, WrongAlready, score, targets
from minivae.proof.tolerances import tol
from minivae.verify.report import table_lines


class ColourConsole(Console):
    """Lines on the terminal, coloured where there is one."""

    def line(self, text: str, colour: str | None = None) -> None:
        if not self.quiet:
            typer.secho(text, fg=colour)


def public(part: dict[str, Any]) -> dict[str, Any]:
    """What goes into JSON: keys that begin with _ hold objects for the page."""
    return {key: value for key, value in part.items() if not key.startswith("_")}


def find_cases(names: list[str] | None) -> Any:
    """The table's rows; a usage fault for a name it does not know."""
    try:
        return cases.find(list(names or []))
    except KeyError as error:
        raise UsageError(str(error.args[0])) from None


def run_table(console: ColourConsole, names: list[str] | None) -> dict[str, Any]:
    """The two votes and two figures on every row, and the identities of meaning."""
    reports = [case.run() for case in find_cases(names)]
    rows = [row for report in reports for row in report.rows]
    lines = table_lines(rows)
    console.line(lines[0])
    for row, text in zip(rows, lines[1:], strict=True):
        console.line(text, None if row.ok else "red")
    identities = [] if names else meaning.checks()
    for m in identities:
        if not m.ok:
            console.line(f"meaning: {m.name}: {m.error:.3g}, at most {m.limit:.3g} ({m.op})", "red")
    for report in reports:
        for fault in report.faults:
            console.line(f"{report.name}: {fault}", "red")
    last = max(rows, key=lambda r: (not r.ok, r.complex_step or 0.0), default=None)
    if last:
        console.line("")
        console.line(f"worst of {len(rows)} tensors in {len(reports)} passes:")
        for text in table_lines([last]):
            console.line(text)
    ok = all(r.ok for r in reports) and all(m.ok for m in identities)
    return {
        "ok": ok,
        "worst_complex_step": largest([r.complex_step for r in rows]),
        "worst_entry": largest([r.worst_entry for r in rows]),
        "worst": {"op": last.op, "tensor": last.tensor} if last else None,
        "reports": [report.to_dict() for report in reports],
        "meaning": [{**m._asdict(), "ok": m.ok} for m in identities],
        "_reports": reports,
        "_identities": identities,
    }


def largest(errors: list[float | None]) -> float | None:
    """The largest of the errors that were measured, NaN before all; None where none was."""
    return worst(errors) if any(error is not None for error in errors) else None


def run_full_size(console: ColourConsole, plants: int) -> dict[str, Any]:
    """Probes of every tensor, then planted errors."""
    model = FullSize()
    start = time.process_time()
    rows = model.probe_all()
    seconds = time.process_time() - start
    for row in rows:
        console.line(
            f"{row.tensor:<20} {row.size:>7} entries  {row.error:.1e} of the norm",
            None if row.ok else "red",
        )
    console.line(f"all {len(rows)} tensors in {seconds:.2f} s of processor time")
    bad = [row.tensor for row in rows if not row.ok]
    for tensor in bad:
        found = model.locate(tensor)
        sample = model.blame_sample(tensor, found.at)
        latent = model.latent_dimension(tensor, found.at)
        console.line(
            f"{tensor}{list(found.at)}: hand-written {found.hand:.10g}, true {found.true:.10g}; "
            f"sample {sample}{'' if latent is None else f', latent dimension {latent}'}; "
            f"first wrong op: {model.first_wrong_op() or 'none, so it is the wiring'}",
            "red",
        )
    located = [] if bad else score_plants(model, plants, tol("plant"))
    hits = sum(hit for hit, _ in located)
    if located:
        slowest = max(found.seconds for _, found in located)
        console.line(
            f"{hits} of {len(located)} planted errors located, the slowest in {slowest:.2f} s"
        )
    return {
        "ok": not bad and hits == len(located),
        "seconds": seconds,
        "tensors": [{**row._asdict(), "ok": row.ok} for row in rows],
        "planted": len(located),
        "located": hits,
        "slowest": max((found.seconds for _, found in located), default=None),
    }


def run_mutants(console: ColourConsole, names: list[str] | None) -> dict[str, Any]:
    """The scoreboard of planted and of curated bugs."""
    try:
        targets(names)
    except KeyError as error:
        raise UsageError(
            f"{error.args[0]}: they are planted in minivae's own ops and models; leave the name "
            "out to plant them all"
        ) from None
    try:
        board = score(list(names) if names else None)
        print_board(console, board)
        corpus = run_corpus()
    except WrongAlready as error:
        console.line(str(error), "red")
        return {"ok": False, "wrong_already": str(error)}
    print_corpus(console, corpus)
    count = len(corpus.results)
    good = board.ok and corpus.caught == count and corpus.attributed >= tol("attribution")
    return {
        "ok": good,
        "planted": len(board.outcomes),
        "killed": board.killed,
        "killed_by_exception": board.raised,
        "equivalent": [{"mutant": o.mutant.label, "reason": o.reason} for o in board.equivalent],
        "survivors": [o.mutant.label for o in board.survivors],
        "seconds": board.seconds,
        "curated": count,
        "curated_caught": corpus.caught,
        "curated_attributed": corpus.attributed,
        "_board": board,
    }


def print_board(console: ColourConsole, board: MutationScore) -> None:
    """What became of the mutants, by function, then those that live."""
    for function, dead, planted in board.by("function"):
        console.line(
            f"{function:<28} {dead:>4} of {planted:<4} killed", None if dead == planted else "red"
        )
    for outcome in board.survivors:
        console.line(f"SURVIVED {outcome.mutant.kind}: {outcome.mutant.label}", "red")
    console.line(f"{len(board.equivalent)} survivors compute the same gradient:")
    for outcome in board.equivalent:
        console.line(f"  {outcome.mutant.label}: {outcome.reason}")
    total = len(board.outcomes)
    console.line(
        f"{board.killed} of {total - len(board.equivalent)} killed, {board.raised} of them by an "
        f"exception, of {total} planted, in {board.seconds:.1f} s"
    )


def print_corpus(console: ColourConsole, corpus: Board) -> None:
    """The curated bugs that were not named rightly, and how many were."""
    for result in corpus.results:
        if not result.right:
            console.line(
                f"{result.bug.label}: {result.bug.name}: named {result.named or 'nothing'}", "red"
            )
    console.line(
        f"curated bugs: {corpus.caught} of {len(corpus.results)} caught, "
        f"{corpus.attributed:.1%} named rightly"
    )


def run_figures(console: ColourConsole, plants: int, examples: int) -> dict[str, Any]:
    """Every figure of the ladder, printed as it is measured."""
    try:
        fifty_digits.arithmetic()
    except ImportError as error:
        raise UsageError(str(error)) from None
    found = []
    for figure in measure(plants, examples):
        found.append(figure)
        sign = ">=" if figure.at_least else "<="
        console.line(
            f"{figure.name:<48} {figure.value:>10.4g} {figure.unit:<2} {sign} {figure.limit:<8.4g} "
            f"{'reached' if figure.ok else 'MISSED'}",
            None if figure.ok else "red",
        )
    return {
        "ok": all(f.ok for f in found),
        "rows": [{**f._asdict(), "ok": f.ok} for f in found],
        "_figures": found,
    }


def run_kernels(
    console: ColourConsole,
    backend: str,
    threads: int | None,
    names: list[str] | None,
    *,
    tf32: bool = False,
    bf16: bool = False,
) -> dict[str, Any]:
    """A backend's kernels against the reference."""
    K = choose_backend(backend, threads, console, tf32=tf32, bf16=bf16)
    try:
        rows = check_kernels(K, list(names) if names else None)
    except KeyError as error:
        raise UsageError(str(error.args[0])) from None
    allowance = (
        "{}: products may be off by (2u + u²) |a||b| more than float32, u = 2**-{};\n"
        "the errors of the dense ops below are what exceeds that"
    )
    if tf32:
        console.line(allowance.format("TF32", 10))
    if bf16:
        console.line(allowance.format("bfloat16", 8))
    console.line(f"{'op':<26} {'rms error':>9} {'allowed':>9} {'ulp p99':>8} {'worst':>7}  verdict")
    for r in rows:
        label = r.op if not r.output else f"{r.op}[{r.output}]"
        console.line(
            f"{label:<26} {r.error:>9.2g} {r.allowed:>9.2g} {places(r.ulp_p99):>8} "
            f"{places(r.ulp_worst):>7}  {r.problem or 'right'}",
            None if r.ok else "red",
        )
    threaded = K.name == "numba" and not names
    moved = threads_agree(lambda n: load_backend(K.name, n, bf16=bf16)) if threaded else {}
    for op, problem in moved.items():
        console.line(f"{op}: {problem}", "red")
    return {
        "ok": all(r.ok for r in rows) and not moved,
        "backend": K.name,
        "tf32": tf32,
        "bf16": bf16,
        "rows": [{**r._asdict(), "ok": r.ok} for r in rows],
        "thread_dependent": list(moved) if threaded else None,
    }


def places(ulps: float | None) -> str:
    """An error in last places; a dash where none were counted."""
    return "-" if ulps is None else f"{ulps:.2f}"


def write_page(path: Path, result: dict[str, Any]) -> bool:
    """The page, with whatever this run has measured: whether all that it shows is right.

    The table of all passes, the identities and the scoreboard are on it in any case; what the run
    has not measured of them is measured here.
    """
    passes = result.get("passes") or run_table(ColourConsole(quiet=True), None)
    board = result["mutants"].get("_board") if "mutants" in result else scoreboard()
    figures = result.get("figures", {}).get("_figures")
    reports, identities = passes["_reports"], passes["_identities"]
    save_text(path, page(reports, curves(), board, figures, identities))
    return passes["ok"] and board is not None and board.ok


def scoreboard() -> MutationScore | None:
    """Every planted bug; None where a pass is wrong as it is, which the table shows."""
    try:
        return score()
    except WrongAlready:
        return None

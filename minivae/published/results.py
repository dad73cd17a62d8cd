"""What an experiment came to, as it is kept: figures, claims, what part was run, machine, time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.machine import commit, describe_machine
from minivae.published.bench import Bench, BudgetOver, Trained
from minivae.published.carry_out import DATA, protocol_in
from minivae.published.findings import Figure, Findings
from minivae.published.kept import FORMAT, RESULT, findings_of
from minivae.published.order import Order
from minivae.published.record import Experiment
from minivae.published.run import Run
from minivae.runs import files
from minivae.runs.checkpoint import sum_of
from minivae.runs.hints import command_line
from minivae.runs.strict_json import parse
from minivae.settings import ConfigError

PICTURE = "picture.png"
PART = "part-"  # before the names of a result that joins one which went further


def measure(order: Order, bench: Bench) -> Findings:
    """What the protocol measures. ConfigError, one line, where a budget left nothing to tell."""
    try:
        findings = order.protocol.measure(bench)
    except BudgetOver as over:
        raise order.too_short(str(over)) from None
    if order.minutes is not None and not findings.tell:
        raise order.too_short("a figure")
    return findings


def result_of(
    order: Order, bench: Bench, findings: Findings, load: Mapping[str, Any], measuring: float
) -> dict[str, Any]:
    """Everything that is kept of an experiment, in JSON's own types.

    load: what else the machine did meanwhile, by `racing.load.LoadWatch`. measuring: seconds of it.
    """
    experiment, protocol = order.experiment, order.protocol
    training = sum(r["seconds"] for run in bench.runs.values() for r in run.history)
    return {
        "format": FORMAT,
        "experiment": experiment.name,
        "paper": experiment.paper.cited,
        "small": order.small,
        "seed": order.seed,
        "protocol": protocol.digest(order.seed),
        "figures": [{**f._asdict(), "difference": f.difference, "reached": f.reached}
                    for f in findings.figures],
        "claims": [claim._asdict() for claim in findings.claims],
        "differs": list(protocol.differs),
        "part": part_of_schedule(order, bench),
        "seconds": {"training": round(training, 1), "measuring": round(measuring, 1),
                    "this call": load["seconds"]},
        "machine": {**describe_machine(), "backend": bench.computed_by, "meanwhile": dict(load)},
        "commit": commit(),
        "command": order.anew,
        "runs": {name: train_command(run) for name, run in bench.runs.items()},
        "setting": dict(protocol.setting),
        "series": dict(findings.series),
    }  # fmt: skip


def part_of_schedule(order: Order, bench: Bench) -> dict[str, Any]:
    """Which part of the schedule was run: of every run, its epochs and of how many; or pieces."""
    counts: dict[str, list[float]] = {}
    parts: list[str] = []
    for run in order.protocol.runs:
        trained, of = bench.runs.get(run.name), int(run.settings["epochs"])
        done = 0.0 if trained is None else round(trained.epochs, 3)
        if trained is not None and not trained.complete:
            done = min(done, of - 0.001)  # an update short of the whole rounds to it
        counts[run.name] = [done, of]
        parts.append(f"{run.name} {done:.12g} of {of} epochs")
    for what, (had, all_of_them) in bench.pieces.items():
        counts[what] = [had, all_of_them]
        parts.append(f"{had} of {all_of_them} {what}")
    complete = bench.complete and all(some >= whole for some, whole in bench.pieces.values())
    words = "the whole schedule" if complete else "a part: " + ", ".join(parts)
    return {"complete": complete, "words": words, "epochs": counts}


def train_command(trained: Trained) -> str:
    """The `minivae train` that makes the same run.

    A file of rows, which the experiment itself makes, is named as from the result's folder.
    """
    run = trained.run
    some = f"{DATA}/{Path(trained.config.dataset).name}"
    words: list[object] = ["train", run.dataset if run.rows is None else some]
    for key, value in stated(run).items():
        words += option_of(key, value)
    return command_line(*words)


def stated(run: Run) -> dict[str, Any]:
    """The run's settings, and those that `minivae train` has other defaults of for some data."""
    return {"c": 1.0, "warmup": 0.0, **run.settings}


def option_of(key: str, value: Any) -> list[object]:
    """A setting as an option of `minivae train`."""
    if key == "optimiser_settings":
        return [word for name, number in value.items() for word in ("--set", f"{name}={number!r}")]
    name = "--" + {"latent_dim": "latent"}.get(key, key).replace("_", "-")
    if key == "lr_steps":
        return [name, ",".join(f"{epoch}:{factor!r}" for epoch, factor in value)]
    if isinstance(value, (tuple, list)):
        return [name, ",".join(map(str, value)) or "none"]
    return [name, value]


def keep(folder: Path, experiment: Experiment, result: Mapping[str, Any]) -> list[Path]:
    """Write result and picture; a kept result that went further is not replaced, but joined.

    Returns what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = PART if _goes_further(folder / RESULT, result) else ""
    write_result(folder / f"{stem}{RESULT}", result)
    experiment.draw(folder / f"{stem}{PICTURE}", findings_of(result))
    return [folder / f"{stem}{RESULT}", folder / f"{stem}{PICTURE}"]


def write_result(file: Path, result: Mapping[str, Any]) -> None:
    """Write a result under its own sha256."""
    plain = json.loads(json.dumps(result, allow_nan=False))
    text = json.dumps({**plain, "sha256": sum_of(plain)}, indent=1) + "\n"
    files.write_atomically(file, text.encode())


def kept_line(file: Path) -> str:
    """What is said of a file that was written, with the reason where it has another name."""
    why = " (beside the kept result, which went further)" if file.name.startswith(PART) else ""
    return f"kept      {file}{why}"


def require_replaceable(order: Order) -> None:
    """Raise ConfigError, one line, where the folder's result is of another protocol than asked for.

    It would be lost: results are replaced by those of the same protocol alone.
    """
    file = order.folder / RESULT
    if not file.exists():
        return
    there = protocol_in(file)
    if there is None:
        raise ConfigError(f"{file}: is damaged; remove it, and the same command makes it again")
    if there != order.protocol.digest(order.seed):
        raise ConfigError(
            f"{file}: is a result of another protocol (other settings, seed or size), and would be "
            "lost; give another --out"
        )


def _goes_further(file: Path, result: Mapping[str, Any]) -> bool:
    try:
        kept = parse(files.read_file(file))
        there, here = (_reach(each["part"]) for each in (kept, result))
        return bool(kept["protocol"] == result["protocol"] and there > here)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return False


def _reach(part: Mapping[str, Any]) -> tuple[bool, float]:
    """Whether it is the whole, and the sum of the shares done: epochs of unlike runs do not add."""
    return bool(part["complete"]), sum(done / of for done, of in part["epochs"].values())


def as_text(result: Mapping[str, Any], differs: bool = True) -> str:
    """The result for people: each figure beside the paper's, each claim with what was found."""
    findings = findings_of(result)
    lines = [
        f"{result['experiment']}: {result['paper']}",
        f"run       {result['part']['words']}",
        "",
    ]
    lines += [figure_line(figure) for figure in findings.figures]
    for claim in findings.claims:
        says = {True: "holds", False: "DOES NOT HOLD", None: "not known yet"}[claim.holds]
        lines.append(f"{says}: {claim.what} ({claim.found})")
    sources = [f.source for f in findings.figures] + [c.source for c in findings.claims]
    lines += ["", *(f"source    {source}" for source in dict.fromkeys(sources) if source)]
    if differs:
        lines += [f"differs   {text}" for text in result["differs"]]
    machine = result["machine"]
    lines += [
        f"machine   {machine['processor']}, {machine['cores']} cores, {machine['backend']}",
        f"time      {time_in_words(result)}",
    ]
    return "\n".join(lines)


def time_in_words(result: Mapping[str, Any]) -> str:
    """Seconds of all calls together, and what else ran in the last, the only one that says so."""
    seconds, meanwhile = result["seconds"], result["machine"]["meanwhile"]
    length = f", of {seconds['this call']:.0f} s" if "this call" in seconds else ""
    busy = meanwhile.get("busy") or meanwhile.get("note") or "nothing else ran"
    return (
        f"training {seconds['training']:.0f} s and measuring {seconds['measuring']:.0f} s in all "
        f"calls; in the last{length}, {busy}"
    )


def figure_line(figure: Figure) -> str:
    """One figure: ours, the paper's, how far, and whether that is within the band."""
    ours = "not known yet" if figure.ours is None else f"{figure.ours:.2f}"
    ours += f" ± {figure.spread:.2f}" if figure.spread is not None else ""
    if figure.paper is None:
        return f"{figure.what:<44} {ours:>16} {figure.unit}"
    paper = f"{figure.paper:g}" + (f" (read to ± {figure.error:g})" if figure.error else "")
    far = "" if figure.difference is None else f"{figure.difference:+.2f}"
    verdict = {True: "reached", False: "MISSED", None: ""}[figure.reached]
    band = f" (band {figure.band:g})" if figure.band is not None and verdict else ""
    beside = f"{figure.by} {paper}"
    return f"{figure.what:<44} {ours:>16}   {beside:<28} {far:>8}  {verdict}{band}".rstrip()

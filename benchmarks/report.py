"""`report`: the README's table, written between its markers from the newest results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from . import RESULTS, results
from .cases import PIXELS

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
NAMES = {"jax": "JAX", "torch-compile": "torch.compile", "torch-eager": "PyTorch eager"}
OURS = {"cpu": "minivae-numba", "gpu": "minivae-cupy"}
TWICE = 0.1  # ours against ours may differ by so much: beyond it a race says nothing
CARD_NAMES = {"jax-unrolled": "JAX, unrolled", "torch-graph": "PyTorch, one graph"}


class ReportError(ValueError):
    """A file without the markers, or results without the rows a table needs."""


def between(text: str, body: str, begin: str = BEGIN, end: str = END, name: str = "") -> str:
    """`text` with everything between the markers replaced; raises ReportError without them."""
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ReportError(
            f"{name or 'the text'}: needs the markers {begin} and {end}, in this order"
        )
    return f"{head}{begin}\n{body.strip()}\n{end}{tail}"


Run = dict[str, dict[str, Any]]  # one race: contender -> its row


def newest(
    folder: Path, device: str = "cpu", *, tf32: bool = False, bf16: bool = False
) -> dict[tuple[str, int], Run]:
    """Our newest race of every (architecture, batch), in the place measured last.

    That is one processor, with the most threads it was raced with, or one card. A race of more
    peers stands before a later one of fewer, and one on a calm machine before a later one beside
    other work: rows of different runs are never mixed. One in which ours failed stands until ours
    passes again, whatever stood before it.
    """
    races: dict[tuple[str, int, str], Run] = {}
    for row in results.read(folder / "step.jsonl"):
        alone = not row.get("busy")
        rounded = bool(row.get("tf32")), bool(row.get("bf16"))
        if alone and row["device"] == device and rounded == (tf32, bf16):
            key = (row["arch"], row["batch"], row["machine"]["time"])
            races.setdefault(key, {})[row["contender"]] = row
    if not races:
        raise ReportError(f"{folder}: no step results for {device}; run python -m benchmarks step")
    place = _place(races[max(races, key=lambda k: k[2])], device)
    here = [item for item in races.items() if _place(item[1], device) == place]
    threads = max(_head(race)["threads"] for _, race in here)
    found: dict[tuple[str, int], Run] = {}
    passed: dict[tuple[str, int], Run] = {}
    for (arch, batch, _), race in sorted(here, key=lambda item: item[0][2]):
        fewer = device == "cpu" and _head(race)["threads"] < threads
        if fewer or OURS[device] not in race:
            continue
        case = (arch, batch)
        if "failed" in race[OURS[device]]:
            found[case] = race
            continue
        if case not in passed or _worth(race) >= _worth(passed[case]):
            passed[case] = race
        found[case] = passed[case]
    return found


def _place(race: Run, device: str) -> str:
    """Whose figures they are: a card's name, without its driver, or a processor's."""
    head = _head(race)
    return str(head["gpu"]).partition(",")[0] if device == "gpu" else str(head["processor"])


def _worth(race: Run) -> tuple[int, bool]:
    """How many peers were timed, and whether the machine is known to have been calm."""
    loads = [row.get("load") for row in race.values()]
    calm = all(load is not None and not load["busy"] for load in loads)
    peers = NAMES | CARD_NAMES
    return sum("ms" in r for n, r in race.items() if n.partition(":")[0] in peers), calm


def against_peer(mine: dict[str, Any]) -> str:
    """The verdict against the fastest peer, or why there is none."""
    if "verdict" not in mine:
        return "–"
    if not mine.get("a_a"):
        return f"{mine['ratio']:.2f} ×, not judged (no A against A)"
    twice = mine["a_a"]["ratio"]
    if not abs(twice - 1) <= TWICE:
        return f"not to be believed (A against A {twice:.2f} ×)"
    beside = ", beside other work" if (mine.get("load") or {}).get("busy") else ""
    return f"{mine['ratio']:.2f} ×, {mine['verdict']}{beside}"


def _head(race: Run) -> dict[str, Any]:
    machine: dict[str, Any] = next(iter(race.values()))["machine"]
    return machine


def step_table(races: dict[tuple[str, int], Run], ours: str) -> str:
    """Milliseconds per update, one line a case, the verdict and the share of the peak."""
    peers = NAMES if ours == "minivae-numba" else NAMES | CARD_NAMES
    titles = ["model", "batch", "minivae", *peers.values(), "against the fastest peer"]
    titles += ["of the FMA peak" if ours == "minivae-numba" else "of cuBLAS's peak"]
    scaled = any("scaling" in race.get(ours, {}) for race in races.values())
    titles += ["against one thread"] if scaled else []
    rounded = any("float32" in race.get(ours, {}) for race in races.values())
    titles += ["against our float32"] if rounded else []
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "--:|" * (len(titles) - 1)]
    for (arch, batch), race in sorted(races.items()):
        mine = race.get(ours, {})
        cells = [arch, str(batch), *(_ms(race.get(n, {})) for n in (ours, *peers))]
        cells.append(against_peer(mine))
        cells.append(f"{mine['peak_share']:.0%}" if "peak_share" in mine else "–")
        if scaled:
            cells.append(f"{mine['scaling']['ratio']:.2f} ×" if "scaling" in mine else "–")
        if rounded:
            cells.append(f"{mine['float32']['ratio']:.2f} ×" if "float32" in mine else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cold_sentence(folder: Path) -> str:
    """How long the first run takes when nothing is cached, or nothing where it was not timed."""
    try:
        rows = [r for r in results.read(folder / "cold.jsonl") if "first_run_s" in r]
    except results.ResultsError:
        return ""
    if not rows:
        return ""
    head = max((r["machine"] for r in rows), key=lambda head: str(head["time"]))
    newest_of = {r["contender"]: r for r in rows if r["machine"]["time"] == head["time"]}
    named = {"minivae-numba": "minivae", **NAMES}
    said = [f"{named[n]} {newest_of[n]['import_s'] + newest_of[n]['first_run_s']:.1f} s"
            for n in named if n in newest_of]  # fmt: skip
    first = f"First run with empty caches (import, compile, first block), on {where([head])}: "
    return first + ", ".join(said) + "."


def _ms(row: dict[str, Any]) -> str:
    if "failed" in row or "ms" not in row:
        return "failed" if "failed" in row else "–"
    return f"{row['ms']['p50']:.3g} ms"


def products_table(folder: Path) -> str:
    """GFLOP/s of the products at batch 128, or nothing where they were not measured."""
    try:
        rows = _of_one_place(list(results.read(folder / "products.jsonl")))
    except results.ResultsError:
        return ""
    heads = sorted((row["machine"] for row in rows), key=lambda head: str(head["time"]))
    lines = [
        f"GFLOP/s of one product called from Python, on {where(heads)}, with the checks of its "
        "arguments and the waking of threads. A step crosses from Python once for many "
        "updates: the shares of the peak above are of everything in it together.",
        "",
        "| product | minivae | NumPy as installed | best BLAS setting |",
        "|---|--:|--:|--:|",
    ]
    for row in (r for r in rows if r["B"] == 128 and ("best_blas" in r or "failed" in r)):
        shape = f"{row['form']} {row['B']}×{row['I']}×{row['O']}"
        if "failed" in row:
            lines.append(f"| {shape} | failed | – | – |")
            continue
        rate, best = row["gflops"], row["best_blas"]
        lines.append(f"| {shape} | {rate['minivae']:.0f} | {rate['numpy as installed']:.0f} | "
                     f"{rate[best]:.0f} ({best.removeprefix('numpy ')}) |")  # fmt: skip
    return "\n".join(lines) if len(lines) > 4 else ""


def _of_one_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest row of each product, of those by the processor and the threads measured last."""
    places = [(row["machine"]["processor"], row["machine"]["threads"]) for row in rows]
    here = [row for row, place in zip(rows, places, strict=True) if place == places[-1]]
    return list({tuple(row[key] for key in ("form", "B", "I", "O")): row for row in here}.values())


def body(folder: Path = RESULTS) -> str:
    """Everything between the markers."""
    parts = []
    for device, rounding in (("cpu", ""), ("cpu", "bf16"), ("gpu", ""), ("gpu", "tf32")):
        try:
            races = newest(folder, device, **{rounding: True} if rounding else {})
        except ReportError:
            if (device, rounding) == ("cpu", ""):
                raise
            continue
        if races:
            heads = sorted(map(_head, races.values()), key=lambda head: head["time"])
            said = caption(heads, device, rounding)
            if (device, rounding) == ("cpu", "") and any(a.endswith(PIXELS) for a, _ in races):
                said += ZEROS
            parts += [said, step_table(races, OURS[device])]
    parts += [products_table(folder), cold_sentence(folder)]
    parts.append("Generated by `python -m benchmarks report` from `benchmarks/results/`.")
    text = "\n\n".join(p for p in parts if p)
    return f"{text} {UNCOMMITTED}" if COMMIT_WITH_MORE.search(text) else text


UNCOMMITTED = "A commit with a + had changes that were not committed."
COMMIT_WITH_MORE = re.compile(r"\b[0-9a-f]{7,}\+")
ZEROS = (
    " Shares count every multiply-add of the model; on MNIST's pixels ours leaves out those with "
    "a zero."
)


ROUNDING = {
    "tf32": " **TF32: everyone's products round their inputs to 10 bits.**",
    "bf16": " **bfloat16: everyone's products round their inputs to 8 bits; PyTorch by autocast.**",
}


def caption(heads: list[dict[str, Any]], device: str, rounding: str = "") -> str:
    """What was measured, where, when and with which versions; `heads` are the races', in order."""
    wanted = (("JAX", "jax"), ("PyTorch", "torch"), ("NumPy", "numpy"), ("Numba", "numba"))
    found = heads[-1]["versions"]
    versions = ", ".join(f"{label} {found[name]}" for label, name in wanted if name in found)
    return (
        "One training step (gather, noise, forward, backward, Adam), median of runs interleaved "
        f"with the peers', on {where(heads, device)}; {versions}." + ROUNDING.get(rounding, "")
    )


def where(heads: list[dict[str, Any]], device: str = "cpu") -> str:
    """The processor with its threads, or the card; the days and the commits; `heads` in order."""
    head = heads[-1]
    place = head["gpu"] if device == "gpu" else f"{head['processor']}, {head['threads']} threads"
    commits = list(dict.fromkeys(h["commit"] for h in heads))
    return f"{place}, {days(heads)}, commit{'s' * (len(commits) > 1)} {', '.join(commits)}"


def days(heads: list[dict[str, Any]]) -> str:
    """The day of all these measurements, or the first and the last; `heads` are in order."""
    return " to ".join(dict.fromkeys(head["time"][:10] for head in (heads[0], heads[-1])))


def write(readme: Path, folder: Path = RESULTS) -> str:
    """Rewrite the marked part of the README and return it."""
    if not readme.exists():
        raise ReportError(f"{readme}: no such file")
    text = body(folder)
    old = readme.read_text(encoding="utf-8")
    readme.write_text(between(old, text, name=str(readme)), encoding="utf-8")
    return text

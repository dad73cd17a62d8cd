"""`ladder --backend cupy --predict`: what every rung asks of a card, known before one has run it.

Bytes are counted on a device that launches nothing: each array that a launch is given once (what
blocks read again, where a rung says so), each operand of an array call. Registers and shared memory
are the compiler's report for three architectures, occupancy follows from them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from minivae_kernels.gpu import nvrtc, sources
from minivae_kernels.gpu.occupancy import occupancy
from minivae_kernels.gpu.update import Update
from minivae_kernels.ladder.gpu import NAMES, load

from . import gpu_ladders, ladders, results
from .cases import make_rows, make_theta, parse_arch
from .contenders.minivae_step import plan_of
from .report import ReportError, between

Rows = list[dict[str, Any]]


class Counted(np.ndarray):
    """Arrays whose operations are counted: each operand read, each result written."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **how: Any) -> Any:
        """One launch of an array call."""
        return counted(lambda *plain: getattr(ufunc, method)(*plain, **how), inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """One launch of what is no ufunc: np.where."""
        return counted(lambda *plain: func(*plain, **kwargs), args)


tally = {"bytes": 0, "launches": 0}


def counted(call: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
    """The result, its bytes and its operands' in the tally."""
    plain = [a.view(np.ndarray) if isinstance(a, Counted) else a for a in inputs]
    result = call(*plain)
    arrays = [a for a in (*plain, result) if isinstance(a, np.ndarray)]
    tally["bytes"] += sum(a.nbytes for a in arrays)
    tally["launches"] += 1
    return result.view(Counted) if isinstance(result, np.ndarray) else result


class CountingDevice:
    """The launchers' seam where nothing runs: what would move, and which kernels would."""

    name, xp = "counting", np

    def __init__(self) -> None:
        self.sent: dict[int, int] = {}  # a buffer's address -> the bytes that hold something
        self.kernels: dict[str, int] = {}  # name -> threads of a block
        self.start()

    def start(self) -> None:
        """Count anew."""
        self.kernels.clear()
        tally.update(bytes=0, launches=0)

    def empty(self, shape: Any, dtype: Any) -> Any:
        """Memory that nothing touches."""
        return np.empty(shape, dtype)

    zeros = empty

    def to_device(self, array: Any) -> Any:
        """As it is; operations on it are counted."""
        return np.asarray(array).view(Counted)

    def to_host(self, array: Any) -> Any:
        """As it is."""
        return np.asarray(array)

    def is_array(self, value: Any) -> bool:
        """Every array is this device's."""
        return isinstance(value, np.ndarray)

    def pointer(self, array: Any) -> int:
        """A card's memory begins on the 16-byte grid, whatever the host's does."""
        return 0

    def free_memory(self) -> int:
        """As much as one likes."""
        return 1 << 62

    def upload(self, target: Any, host: Any) -> None:
        """Of this buffer no more is read than was sent."""
        self.sent[target.ctypes.data] = host.nbytes

    def launch(
        self, kernel: str, grid: Any, threads: int, args: tuple[Any, ...], real: Any = np.float32
    ) -> None:
        """Every array once."""
        arrays = [a for a in args if isinstance(a, np.ndarray)]
        tally["bytes"] += sum(self.sent.get(a.ctypes.data, a.nbytes) for a in arrays)
        tally["launches"] += 1
        self.kernels[kernel] = threads

    def matmul(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """The least that a product moves."""
        tally["bytes"] += a.nbytes + b.nbytes + out.nbytes * (2 if accumulate else 1)
        tally["launches"] += 1

    working = aside = staticmethod(lambda: contextlib.nullcontext())

    def wait(self, done: Any) -> None:
        """Nothing runs."""

    def synchronise(self) -> None:
        """Nothing runs."""


def asked(name: str) -> Rows:
    """For every rung: bytes, launches, and the kernels of ours that it runs."""
    device = CountingDevice()
    found = []
    ladder = load(name, device)
    args = () if name == "step" else ladder.inputs(np.random.default_rng(5), ladder.rows)
    for version in ladder.versions:
        if name == "step":
            one_update(version, device)
        else:
            there = tuple(map(device.to_device, args))
            device.start()
            version.call(*there)
        moved = version.moves(*args) if version.moves else tally["bytes"]
        found.append({"ladder": name, "version": version.number, "idea": version.idea,
                      "unit": ladder.unit, "bytes": moved, "launches": tally["launches"],
                      "kernels": dict(device.kernels)})  # fmt: skip
    return found


def one_update(version: Any, device: CountingDevice) -> None:
    """Count what an update of the step's own ladder launches."""
    case = parse_arch(gpu_ladders.STEP_CASE, gpu_ladders.STEP_BATCH)
    theta, rows = make_theta(case), make_rows(case, 0, 1)
    data = np.zeros((case.batch, case.data_dim), np.float32)  # of all data, what a batch reads
    step = version.call(plan_of(case), theta, np.zeros((2, theta.size), np.float32), data)
    for buffer, host in ((step.buffers.rows, rows), (step.buffers.lr, np.zeros(1)),
                         (step.buffers.beta, np.zeros(1))):  # fmt: skip
        device.upload(buffer, host)
    device.start()
    Update(step.buffers, case.batch)()


def compiled(files: set[str]) -> dict[tuple[str, str], nvrtc.Usage]:
    """(kernel, architecture) -> what the compiler says. LadderError where there is none."""
    try:
        archs = [arch for arch in nvrtc.ARCHITECTURES if arch in nvrtc.supported()]
        rows = [row for arch in archs for file in sorted(files)
                for row in nvrtc.compile_file(file, arch)]  # fmt: skip
    except RuntimeError as error:
        raise ladders.LadderError(str(error)) from None
    return {(row.kernel, row.arch): row for row in rows}


def taken(kernels: dict[str, int], usage: dict[tuple[str, str], nvrtc.Usage]) -> dict[str, Any]:
    """By architecture: the most registers and shared bytes of a rung's kernels, the least room."""
    found = {}
    for arch in sorted({arch for _, arch in usage}):
        mine = [(usage[kernel, arch], threads) for kernel, threads in kernels.items()]
        rooms = [occupancy(arch, u.registers, u.shared, threads).share for u, threads in mine]
        found[arch] = {"registers": max((u.registers for u, _ in mine), default=0),
                       "shared": max((u.shared for u, _ in mine), default=0),
                       "occupancy": min(rooms, default=0.0)}  # fmt: skip
    return found


def run(name: str, write: bool, measured: Rows | None = None) -> Rows:
    """One ladder or all; into kernels/README.md with `write`, beside what a card measured."""
    if name and name not in NAMES:
        raise ladders.LadderError(f"unknown GPU ladder {name!r}: choose {', '.join(NAMES)}")
    rows = [row for ladder in ([name] if name else NAMES) for row in asked(ladder)]
    where = sources.where()
    usage = compiled({where[kernel] for row in rows for kernel in row["kernels"]})
    for row in rows:
        row["takes"] = taken(row["kernels"], usage)
    if write:
        write_readme(rows, stored() if measured is None else measured)
    return rows


def stored() -> Rows:
    """What a card measured last, if any ever did."""
    if not (results.RESULTS / "ladder-gpu.jsonl").exists():
        return []
    return results.latest("ladder-gpu", ("ladder", "version"))


def _each(row: dict[str, Any], what: str, form: str) -> str:
    if not row["kernels"]:
        return "–"
    cells = [format(takes[what], form).rstrip("%") for takes in row["takes"].values()]
    return " / ".join(cells if len(set(cells)) > 1 else cells[:1])


def cells(row: dict[str, Any], ns: float | None) -> list[str]:
    """A rung's line, the card's own figure last but one."""
    return [f"v{row['version']}", f"{row['bytes'] / 1e6:,.1f}", str(row["launches"]),
            _each(row, "registers", "d"), _each(row, "shared", ",d"),
            _each(row, "occupancy", ".0%"), "" if ns is None else ladders.duration(ns),
            row["idea"].replace("|", "\\|")]  # fmt: skip


def markdown(rows: Rows, timed: dict[int, dict[str, Any]]) -> str:
    """One ladder's table; timed: version -> the newest row that a card measured."""
    titles = ["version", "MB", "launches", "registers", "shared bytes", "warps, %",
              f"card, per {rows[0]['unit']}", "what it changes"]  # fmt: skip
    lines = [titles, ["--:"] * 7 + ["---"]]
    for row in rows:
        mine = timed.get(row["version"])
        lines.append(cells(row, mine["ns"]["p50"] if mine else None))
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    cards = sorted({row["card"] for row in timed.values()})
    return f"{text}\n\n{', '.join(cards) if cards else 'No card has run it yet'}."


def write_readme(rows: Rows, measured: Rows) -> None:
    """Each ladder's table between its own markers."""
    text = ladders.README.read_text(encoding="utf-8")
    for name in dict.fromkeys(row["ladder"] for row in rows):
        mine = (r for r in measured if r["ladder"] == name and "failed" not in r)
        timed = {r["version"]: r for r in mine if "ns" in r}
        body = markdown([row for row in rows if row["ladder"] == name], timed)
        marks = (f"<!-- ladder-gpu:{name}:{end} -->" for end in ("begin", "end"))
        try:
            text = between(text, body, *marks, str(ladders.README))
        except ReportError as error:
            raise ladders.LadderError(str(error)) from None
    ladders.README.write_text(text, encoding="utf-8")


def table(rows: Rows) -> str:
    """The predictions for people."""
    lines = []
    for row in rows:
        _, size, launches, registers, shared, room, _, idea = cells(row, None)
        takes = f"{registers} registers, {shared} bytes shared, {room} % of the warps"
        lines.append(f"{row['ladder']}_v{row['version']:<3} {size:>9} MB {launches:>3} launches, "
                     f"{takes}  {idea}")  # fmt: skip
    arches = " / ".join(rows[0]["takes"])
    return "\n".join([*lines, f"several figures: {arches}; predicted, nothing was run"])

"""A kept result as it is read back: held against its schema, its own sha256 and its arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.messages import shown
from minivae.published.again import go_on
from minivae.published.findings import Claim, Figure, Findings
from minivae.published.record import Experiment
from minivae.runs import files
from minivae.runs.checkpoint import sum_of
from minivae.runs.schema import SHA256
from minivae.runs.strict_json import (
    JsonFault,
    flag,
    listed,
    mapping,
    named,
    number,
    optional,
    parse,
    record,
    text,
    whole,
)
from minivae.settings import ConfigError

RESULT = "result.json"
FORMAT = 1
FIGURE = record(
    {"what": text, **dict.fromkeys(("ours", "paper", "band", "error", "spread"), optional(number)),
     "source": text, "unit": text, "by": text},
    {"difference": optional(number), "reached": optional(flag)},
)  # fmt: skip
CLAIM = record({"what": text, "holds": optional(flag), "found": text, "source": text})
MACHINE = record(
    {"processor": text, "cores": whole(1), "backend": text,
     "meanwhile": record({}, {"busy": optional(text), "note": optional(text)}, open_=True)},
    open_=True,
)  # fmt: skip
RESULT_SCHEMA = record(
    {"format": whole(), "experiment": text, "paper": text, "small": flag, "seed": whole(),
     "protocol": text, "figures": listed(FIGURE), "claims": listed(CLAIM), "differs": listed(text),
     "part": record({"complete": flag, "words": text, "epochs": named(listed(number))}),
     "seconds": record({"training": number, "measuring": number}, {"this call": number},
                       open_=True),
     "machine": MACHINE, "series": mapping},
    {"sha256": SHA256},  # results of earlier versions have none
    open_=True,
)  # fmt: skip


def read_result(file: Path, experiment: Experiment) -> dict[str, Any]:
    """A kept result of this experiment. Raises ConfigError, one line, where it is another's."""
    try:
        result = read_any_result(file)
    except ConfigError as fault:
        again = go_on(experiment.name, file.parent)
        raise ConfigError(f"{fault}; remove it, and make it again: {again}") from None
    if result["experiment"] != experiment.name:
        raise ConfigError(f"{file}: is a result of {shown(result['experiment'])}; move it there")
    small, seed = result["small"], result["seed"]
    if result["protocol"] != experiment.protocol(small=small).digest(seed):
        raise ConfigError(
            f"{file}: was made by another protocol than {experiment.name} has now; move it away, "
            "with the runs beside it, and make it again: "
            f"{go_on(experiment.name, file.parent, small=small, seed=seed)}"
        )
    return result


def read_any_result(file: Path) -> dict[str, Any]:
    """A kept result, whichever experiment's. Raises ConfigError, one line, where it is none."""
    try:
        result: dict[str, Any] = parse(files.read_file(file), mapping)
        if result.get("format", FORMAT) != FORMAT:
            raise JsonFault(f"format {shown(result['format'], 40)}, not {FORMAT}")
        RESULT_SCHEMA(result, "")
        if result.get("sha256", sum_of(result)) != sum_of(result):
            raise JsonFault("its sha256 differs: it was damaged or edited")
        for i, (kept, figure) in enumerate(zip(result["figures"], figures_of(result), strict=True)):
            for key in ("difference", "reached"):
                if kept.get(key, getattr(figure, key)) != getattr(figure, key):
                    raise JsonFault(f"figures[{i}].{key} is not what its numbers give")
    except (OSError, JsonFault) as fault:
        raise ConfigError(f"{file}: is no result of this version ({fault})") from None
    return result


def figures_of(result: Mapping[str, Any]) -> tuple[Figure, ...]:
    """The figures in a kept result."""
    return tuple(Figure(**{key: f[key] for key in Figure._fields}) for f in result["figures"])


def findings_of(result: Mapping[str, Any]) -> Findings:
    """The findings in a kept result."""
    claims = tuple(Claim(**claim) for claim in result["claims"])
    return Findings(figures_of(result), claims, result["series"])

"""What stands in a run's JSON files: the configuration, a checkpoint's manifest, a line of the log.

Settings of the model and of training are held against their own records (`ModelConfig`,
`TrainConfig`), which know them better. Runs of earlier versions lack the optional keys.
"""

from __future__ import annotations

from minivae.runs.strict_json import (
    Check,
    flag,
    hexadecimal,
    listed,
    mapping,
    named,
    number,
    optional,
    record,
    text,
    whole,
)

SHA256 = hexadecimal(64)
# Epochs number the permutations of the rows, and those have 32 bits.
EPOCH = whole(0, 2**32 - 2)

SUMS = record(
    {
        "updates": whole(),
        "samples": whole(),
        "nll": number,
        "kl": number,
        "loss": number,
        "kl_j": listed(number),
    }
)
PROGRESS = record(
    {
        "epoch": EPOCH,
        "update": whole(),
        "t": whole(),
        "best": optional(number),
        "best_epoch": optional(EPOCH),
        "waited": whole(),
        "sums": SUMS,
    }
)
DATA = record(
    {"name": text, "sizes": named(listed(whole())), "sha256": SHA256},
    {"shape": optional(listed(whole(1))), "low": number, "median": number, "high": number},
    open_=True,
)
TENSORS = named(record({"shape": listed(whole()), "dtype": text, "sha256": SHA256}))

# What every checkpoint has, a run's or an estimator's; and what those of a run have besides.
MANIFEST = record(
    {"format": whole(), "tensors": TENSORS, "file": text, "bytes": whole(), "sha256": SHA256},
    {"progress": PROGRESS},
    open_=True,
)
RUN_FACTS = record(
    {"model": mapping, "train": mapping, "data": DATA, "progress": PROGRESS}, open_=True
)

ENVIRONMENT: Check = named(optional(text))
CONFIG = record(
    {"model": mapping, "train": mapping, "data": DATA},
    {
        "versions": named(text),
        "environments": listed(record({"from_update": whole(), "facts": ENVIRONMENT})),
        "sha256": SHA256,
    },
    open_=True,
)

FIGURES = {
    "loss": number,
    "reconstruction": number,
    "kl": number,
    "elbo": number,
    "kl_j": listed(number),
}
_LINE = {
    "epoch": whole(1, 2**32 - 2),
    "updates": whole(1),
    "lr": number,
    "beta": number,
    "monitor": text,
    "best": flag,
    "train": record(FIGURES, open_=True),
    "held_out": optional(record(FIGURES, open_=True)),
    "seconds": number,
    "samples_per_second": number,
}
LINE = record(_LINE, {"check": hexadecimal(8)}, open_=True)
UNCHECKED_LINE = record(_LINE)  # of an earlier version: without a checksum, and without more keys

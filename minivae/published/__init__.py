"""Published results, each by one command: what the paper reports, beside what our kernels reach.

An experiment is one record (`record.Experiment`) in one file: the ordinary runs it is made of, what
is measured on them, the paper's figures with their source, and the picture. `EXPERIMENTS` lists
them; `carry_out` trains what is not yet trained; `results` keeps what came out.
"""

from __future__ import annotations

from minivae.published.pytorch_example import PYTORCH_EXAMPLE
from minivae.published.record import Experiment
from minivae.settings import ConfigError, nearest

EXPERIMENTS: dict[str, Experiment] = {each.name: each for each in (PYTORCH_EXAMPLE,)}


def experiment(name: str) -> Experiment:
    """The experiment of that name. Raises ConfigError, naming the nearest."""
    if name not in EXPERIMENTS:
        raise ConfigError(
            f"{name!r} is no published result: choose {', '.join(EXPERIMENTS)}"
            f"{nearest(name, EXPERIMENTS)}"
        )
    return EXPERIMENTS[name]

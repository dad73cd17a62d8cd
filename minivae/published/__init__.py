"""Published results, each by one command: what the paper reports, beside what our kernels reach.

An experiment is one record (`record.Experiment`) in one file: the ordinary runs it is made of, what
is measured on them, the paper's figures with their source, and the picture. `EXPERIMENTS` lists
them; `carry_out` trains what is not yet trained; `results` keeps what came out.
"""

from __future__ import annotations

from minivae.published.burda2016 import BURDA2016_TABLE1
from minivae.published.kingma2014_figure2 import KINGMA2014_FIGURE2
from minivae.published.kingma2014_figure3 import KINGMA2014_FIGURE3
from minivae.published.loaizaganem2019 import LOAIZAGANEM2019
from minivae.published.lucas2019 import LUCAS2019
from minivae.published.pytorch_example import PYTORCH_EXAMPLE
from minivae.published.rate_distortion import RATE_DISTORTION
from minivae.published.record import Experiment
from minivae.settings import ConfigError, nearest

_ALL = (
    PYTORCH_EXAMPLE,
    KINGMA2014_FIGURE2,
    KINGMA2014_FIGURE3,
    BURDA2016_TABLE1,
    LUCAS2019,
    LOAIZAGANEM2019,
    RATE_DISTORTION,
)
EXPERIMENTS: dict[str, Experiment] = {each.name: each for each in _ALL}


def experiment(name: str) -> Experiment:
    """The experiment of that name. Raises ConfigError, naming the nearest."""
    if name not in EXPERIMENTS:
        raise ConfigError(
            f"{name!r} is no published result: choose {', '.join(EXPERIMENTS)}"
            f"{nearest(name, EXPERIMENTS)}"
        )
    return EXPERIMENTS[name]

"""minivae: a variational autoencoder to read, verify and race.

Begin with `minivae/models/vae.py`. Importing this package loads NumPy and nothing else; the
names below are fetched from their modules when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "VAE": "minivae.estimators.vae",
    "PCA": "minivae.estimators.pca",
    "Autoencoder": "minivae.estimators.autoencoder",
    "ProbabilisticPCA": "minivae.estimators.probabilistic_pca",
    "LinearVAE": "minivae.estimators.linear_vae",
    "load_backend": "minivae.backend",
    "BackendUnavailable": "minivae.backend",
    "load_data": "minivae.data",
    "ModelConfig": "minivae.models.config",
    "TrainConfig": "minivae.runs.config",
    "train": "minivae.training.loop",
    "check": "minivae.verify",
    "race": "minivae.racing",
    "sweep": "minivae.cli.sweep_api",
}
_RENAMED = {"load_data": "load"}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'minivae' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)

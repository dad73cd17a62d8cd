"""The way in: a state_dict of PyTorch's own VAE example, from safetensors, never from a pickle."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minivae.exports.network import ExportError
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.runs import files
from minivae.runs.checkpoint import MOMENTS, Tensors, write_checkpoint
from minivae.runs.config import TrainConfig
from minivae.runs.errors import describe_os_error
from minivae.runs.state import Progress
from minivae.types import Array

# The example's layers: x -> fc1 -> relu -> (fc21 mean, fc22 log-variance); z -> fc3 -> relu -> fc4
LAYERS = {
    "fc1": "encoder.0",
    "fc21": "encoder.mu",
    "fc22": "encoder.logvar",
    "fc3": "decoder.0",
    "fc4": "decoder.out",
}
NAMES = tuple(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias"))
MOST_OF_A_MODEL = 2**36  # bytes
UNKNOWN_SHA256 = 64 * "0"
IMPORTED = "(imported)"  # in place of a data set's name: a state_dict does not tell
SAVE = "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"


def import_state_dict(source: Path, target: Path) -> ModelConfig:
    """Write the example's state_dict as a checkpoint that every command and `VAE.load` take.

    The example has one hidden layer each way, relu, and pixels in [0, 1] as coin flips. Raises
    ExportError, in one line, where the file is no such state_dict.
    """
    tensors = read_tensors(source)
    config = config_of(tensors, source)
    write_checkpoint(target, renamed(tensors, config, source), facts_of(config))
    return config


def read_tensors(source: Path) -> Mapping[str, Array]:
    """The arrays in a safetensors file; ExportError for anything else."""
    import safetensors.numpy

    try:
        data = files.read_file(source, MOST_OF_A_MODEL)
    except OSError as error:
        raise ExportError(f"{source}: {describe_os_error(error)}") from None
    if data[:2] == b"PK" or data[:1] == b"\x80":
        raise ExportError(
            f"{source}: a pickle of PyTorch's, which minivae never loads; save the state_dict with "
            f"{SAVE}"
        )
    with contextlib.suppress(Exception):  # the library has an exception class of its own
        return dict(safetensors.numpy.load(data))
    raise ExportError(f"{source}: no safetensors file; write one with {SAVE}")


def config_of(tensors: Mapping[str, Array], source: Path) -> ModelConfig:
    """The sizes, from the shapes of the weights."""
    missing = [name for name in NAMES if name not in tensors]
    if missing:
        raise ExportError(
            f"{source}: has no {missing[0]}; what is read is the state_dict of PyTorch's VAE "
            f"example, with the tensors {', '.join(NAMES)}"
        )
    first, mean = tensors["fc1.weight"], tensors["fc21.weight"]
    if first.ndim != 2 or mean.ndim != 2 or not (first.size and mean.size):
        raise ExportError(f"{source}: fc1.weight and fc21.weight must be matrices, and not empty")
    return ModelConfig(
        data_dim=int(first.shape[1]), latent_dim=int(mean.shape[0]), hidden=(int(first.shape[0]),)
    )


def renamed(tensors: Mapping[str, Array], config: ModelConfig, source: Path) -> Tensors:
    """Our tensors, weights turned to (I, O), with moments at 0."""
    layout = layout_of(config)
    shapes = {entry.name: entry.shape for entry in layout.entries}
    found: Tensors = {}
    for theirs, ours in LAYERS.items():
        found[f"{ours}.W"] = np.asarray(tensors[f"{theirs}.weight"], dtype=np.float32).T
        found[f"{ours}.b"] = np.asarray(tensors[f"{theirs}.bias"], dtype=np.float32)
        for part in ("W", "b"):
            tensor, shape = found[f"{ours}.{part}"], shapes[f"{ours}.{part}"]
            if tensor.shape != shape:
                raise ExportError(
                    f"{source}: {theirs} has the shape {tensor.shape[::-1]}, and the others say "
                    f"{shape[::-1]}"
                )
            if not np.isfinite(tensor).all():
                raise ExportError(f"{source}: {theirs} holds NaN or infinity")
    return {**found, MOMENTS: np.zeros((2, layout.size), dtype=np.float32)}


def facts_of(config: ModelConfig) -> dict[str, Any]:
    """What a run's checkpoint says of itself, as far as a state_dict tells."""
    side = round(config.data_dim**0.5)
    shape = [side, side] if side * side == config.data_dim else None
    data: dict[str, Any] = {"name": IMPORTED, "sizes": {}, "sha256": UNKNOWN_SHA256, "shape": shape,
            "low": 0.0, "median": 0.0, "high": 1.0}  # fmt: skip
    return {
        "model": config.to_dict(),
        "train": TrainConfig(dataset=IMPORTED).for_checkpoint(),
        "data": data,
        "progress": Progress().to_dict(),
    }

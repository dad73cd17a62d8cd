"""Plain arrays: every tensor under its dotted name, and the model's configuration as JSON."""

from __future__ import annotations

import io
import json

import numpy as np

from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.types import Array


def npz_files(config: ModelConfig, theta: Array) -> dict[str, bytes]:
    """model.npz: encoder.0.W (I, O), encoder.0.b (O,), …, and `config`, a text of JSON."""
    views = layout_of(config).views(np.asarray(theta, dtype=np.float32))
    buffer = io.BytesIO()
    text = np.array(json.dumps(config.to_dict()))
    np.savez(buffer, allow_pickle=False, config=text, **views)
    return {"model.npz": buffer.getvalue()}

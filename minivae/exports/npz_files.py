"""Plain arrays: every tensor under its dotted name, and the model's configuration as JSON."""

from __future__ import annotations

import io
import json

import numpy as np

from minivae.data.standard import Standard
from minivae.data.whole import save_named
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.types import Array


def npz_files(
    config: ModelConfig, theta: Array, standard: Standard | None = None
) -> dict[str, bytes]:
    """model.npz: encoder.0.W (I, O), encoder.0.b (O,), …, and `config`, a text of JSON.

    Of a model whose data were standardised also `deviation` (D,), to which the likelihood's scale
    belongs, and `origin` (D,) where one is to be taken out of x and added to what is decoded.
    """
    views = dict(layout_of(config).views(np.asarray(theta, dtype=np.float32)))
    if standard is not None:
        views["deviation"] = standard.deviation
        if standard.origin is not None:
            views["origin"] = standard.origin
    buffer = io.BytesIO()
    text = np.array(json.dumps(config.to_dict()))
    save_named(buffer, {"config": text, **views})
    return {"model.npz": buffer.getvalue()}

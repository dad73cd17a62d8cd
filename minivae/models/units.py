"""A model of standardised data as a model of the data in their own units: the same layers."""

from __future__ import annotations

from minivae.data.standard import Standard
from minivae.layers import Parameters
from minivae.models.config import ModelConfig


def in_user_units(p: Parameters, config: ModelConfig, standard: Standard | None) -> Parameters:
    """Parameters that encode x, and decode to x, where p's do so for y = (x - m) / s.

    The first layers take what standardising did: W y + b = (W / s) x + (b - W m / s); the decoder's
    last one undoes it: s (W h + b) + m. Only where the decoder's output is the data's mean itself.
    """
    if standard is None:
        return p
    mean, deviation = standard.mean, standard.deviation
    changed = dict(p)
    for name in ("encoder.0",) if config.hidden else ("encoder.mu", "encoder.logvar"):
        W = p[f"{name}.W"] / deviation[:, None]
        changed[f"{name}.W"] = W.astype(p[f"{name}.W"].dtype)
        changed[f"{name}.b"] = (p[f"{name}.b"] - mean @ W).astype(p[f"{name}.b"].dtype)
    W, b = p["decoder.out.W"], p["decoder.out.b"]
    changed["decoder.out.W"] = (W * deviation).astype(W.dtype)
    changed["decoder.out.b"] = (b * deviation + mean).astype(b.dtype)
    return changed

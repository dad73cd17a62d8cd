"""A page in which a small VAE trains in front of the reader: `minivae play`.

The page is self-contained and makes no request. Its forward and backward passes stand in maths/,
by hand, line by line as in `minivae/models/vae.py`, with the same noise; view/ is what is seen.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from minivae.explore.closed import asset, closed_page, encoded
from minivae.play.toys import TOYS

# The order in which the files run; each defines functions and classes, the last one starts.
SHARED = ("bytes", "theme")  # of minivae.explore
MATHS = ("tensor", "philox", "ops", "parameters", "vae", "training", "bugs", "checks")
VIEW = (
    "settings", "colours", "canvas", "controls", "latent", "data_space", "sheet", "datum",
    "pads", "flow", "curves", "checking", "glossary", "tours", "events", "main",
)  # fmt: skip

# Where a data set starts: chosen by eye, so that the first ten seconds show something.
START: dict[str, dict[str, Any]] = {
    "digits": {"c": 0.05, "units": 64, "layers": 1, "lr": 3e-3, "batch": 64, "activation": "relu"},
    "ring": {"c": 0.02, "units": 32, "layers": 2, "lr": 5e-3, "batch": 64, "activation": "tanh"},
    "moons": {"c": 0.02, "units": 32, "layers": 2, "lr": 5e-3, "batch": 64, "activation": "tanh"},
    "blobs": {"c": 0.02, "units": 32, "layers": 2, "lr": 5e-3, "batch": 64, "activation": "tanh"},
}


def page() -> str:
    """The whole page as text. Raises DataError where scikit-learn's digits are missing."""
    content = {"data": data_sets(), "glossary": glossary()}
    return closed_page(
        asset("minivae.play", "page.html"),
        asset("minivae.explore", "theme.css") + asset("minivae.play", "page.css"),
        scripts(),
        content,
        {"title": "A variational autoencoder that trains in front of you"},
    )


def scripts() -> list[str]:
    """The sources in order."""
    names = [f"maths/{name}.js" for name in MATHS] + [f"view/{name}.js" for name in VIEW]
    shared = [asset("minivae.explore", f"{name}.js") for name in SHARED]
    return shared + [asset("minivae.play", name) for name in names]


def data_sets() -> dict[str, Any]:
    """Every data set as the page holds it: rows as base64, labels, and where its settings start."""
    from minivae.data.digits import load_digits

    digits = load_digits()
    assert digits.train_labels is not None
    found = {
        "digits": {
            "name": "digits",
            "shape": list(digits.shape or ()),
            "dim": digits.data_dim,
            "bytes": encoded(digits.train.astype(np.uint8)),
            "scale": digits.scale,
            "labels": digits.train_labels.tolist(),
            "meaning": "which digit",
        }
    }
    for key, make in TOYS.items():
        toy = make()
        found[key] = {
            "name": toy.name,
            "shape": None,
            "dim": 2,
            "floats": encoded(toy.x),
            "labels": toy.labels.tolist(),
            "meaning": toy.meaning,
        }
    return {key: {**value, "start": START[key]} for key, value in found.items()}


def glossary() -> dict[str, Any]:
    """Every term of the page: {key: {word, text, formula, equation, code}}."""
    return dict(json.loads(asset("minivae.play", "glossary.json")))

"""Explorer pages of small models, and a browser to open them."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import explore
from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import decode_mean, encode, layout_of
from minivae.parts import LIKELIHOODS
from tests.chromium import open_page


def explored(config: ModelConfig, x, dims=(0, 1)) -> explore.Explored:
    K, layout = load_backend("numpy"), layout_of(config)
    theta = initialise(config, 3) + np.float32(0.01) * np.arange(layout.size, dtype=np.float32) % 1
    p = layout.views(theta - theta.mean())
    mu, logvar = encode(K, p, x, config)
    return explore.Explored(
        title="variational autoencoder <3",
        about="untrained",
        decode=lambda z: decode_mean(K, p, z, config),
        parameters=p,
        depth=len(config.hidden),
        activation=config.activation,
        link=LIKELIHOODS[config.likelihood].link,
        mu=mu,
        sd=np.exp(logvar / 2),
        dims=dims,
        likelihood=config.likelihood,
        beta=0.7,
        groups=config.groups,
    )


DATA = np.random.default_rng(0).uniform(size=(29, 35)).astype(np.float32)
CONFIGS = [
    (ModelConfig(35, 2, (17, 11)), (0, 1)),
    (ModelConfig(35, 3, (13,), "tanh", "gaussian"), (2, 0)),
]


@pytest.fixture(scope="module")
def text() -> str:
    x = DATA
    models = [explored(config, x, dims) for config, dims in CONFIGS]
    labels = np.arange(29) % 4
    rows = np.arange(29) * 3
    return explore.page("two models", models, x, (7, 5), rows=rows, labels=labels, note="</script>")


def opened(tmp_path, text: str, **more):
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    return open_page(file, tmp_path / "profile", **more)


@pytest.fixture(scope="module")
def page(text, tmp_path_factory):
    """The page in one browser for all tests that leave it as it is."""
    with opened(tmp_path_factory.mktemp("explore"), text, fragment="#check") as page:
        yield page
        assert page.errors == []

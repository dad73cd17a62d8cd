"""The hand-written passes of the autoencoder, the linear VAE and inference, by complex step."""

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.models import autoencoder as ae
from minivae.models import inference as inf
from minivae.models import linear_vae as lv
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of

K = load_backend("numpy")


def gradient_by_complex_step(loss, tensors):
    """{name: d loss / d tensor}, one complex step per entry."""
    found = {}
    for name, tensor in tensors.items():
        slope = np.empty(tensor.shape)
        for index in np.ndindex(tensor.shape):
            moved = {k: v.astype(complex) for k, v in tensors.items()}
            moved[name][index] += 1e-40j
            slope[index] = loss(moved).imag / 1e-40
        found[name] = slope
    return found


def compare(hand, exact):
    assert set(hand) == set(exact)
    for name, slope in exact.items():
        error = np.abs(hand[name] - slope).max()
        assert error <= 5e-15 * max(np.abs(slope).max(), 1e-3), name


@pytest.mark.parametrize(
    ("hidden", "kind"), [((), "relu"), ((7,), "tanh"), ((7, 4), "relu"), ((6, 5, 4), "tanh")]
)
def test_autoencoder(hidden, kind):
    rng = np.random.default_rng(len(hidden))
    config = ae.AutoencoderConfig(9, 3, hidden, kind)
    layout = ae.autoencoder_layout(config)
    p = layout.views(rng.normal(size=layout.size) * 0.6)
    x, upstream = rng.normal(size=(5, 9)), np.full((), 1.37)
    _, cache = ae.autoencoder_forward(K, p, x, config)
    hand = ae.autoencoder_backward(K, upstream, cache, p, config)
    compare(
        hand,
        gradient_by_complex_step(
            lambda q: upstream * ae.autoencoder_forward(K, q, x, config)[0], p
        ),
    )


def test_linear_vae():
    rng = np.random.default_rng(4)
    layout = lv.linear_vae_layout(7, 3)
    p = layout.views(rng.normal(size=layout.size) * 0.5)
    x, upstream = rng.normal(size=(5, 7)), np.full((), 0.83)
    _, cache = lv.linear_vae_forward(K, p, x)
    hand = lv.linear_vae_backward(K, upstream, cache, p)
    compare(
        hand, gradient_by_complex_step(lambda q: upstream * lv.linear_vae_forward(K, q, x)[0], p)
    )


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_inference(likelihood):
    rng = np.random.default_rng(6)
    c = "learned" if likelihood == "gaussian" else 1.0
    config = ModelConfig(7, 3, (5,), "tanh", likelihood, c=c, beta=1.3)
    layout = layout_of(config)
    p = layout.views(rng.normal(size=layout.size) * 0.5)
    q = {"mu": rng.normal(size=(4, 3)), "logvar": rng.normal(size=(4, 3)) * 0.5}
    x, eps = rng.uniform(size=(4, 7)), rng.normal(size=(2, 4, 3))
    upstream = np.full((), 1.21)
    _, cache = inf.inference_forward(K, p, q, x, eps, config)
    hand = inf.inference_backward(K, upstream, cache, p, config)
    compare(
        hand,
        gradient_by_complex_step(
            lambda r: upstream * inf.inference_forward(K, p, r, x, eps, config)[0], q
        ),
    )


def test_linear_vae_is_the_vae_with_cubature_draws():
    """The exact expectation equals the sampled objective where the draws integrate quadratics."""
    from minivae.models.vae import elbo_forward

    rng = np.random.default_rng(9)
    layout = lv.linear_vae_layout(7, 3)
    p = layout.views(rng.normal(size=layout.size) * 0.5)
    config = ModelConfig(7, 3, (), likelihood="gaussian", c="learned")
    full = layout_of(config).views(np.zeros(layout_of(config).size))
    for name, tensor in p.items():
        full[name][...] = tensor
    x = rng.normal(size=(5, 7))
    sampled, _ = elbo_forward(K, full, x, inf.cubature_draws(3, 5), 1.0, config)
    exact, _ = lv.linear_vae_forward(K, p, x)
    assert float(sampled) == pytest.approx(float(exact), rel=1e-13)

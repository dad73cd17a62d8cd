"""Parts from outside: right ones train on every backend, wrong ones are refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import VAE, parts
from minivae.models.config import ModelConfig
from minivae.settings import ConfigError

X = np.random.default_rng(0).random((60, 9)).astype(np.float32)


def mish_forward(a):
    return a * np.tanh(np.log1p(np.exp(a)))


def mish_backward(dh, a):
    t = np.tanh(np.log1p(np.exp(a)))
    return dh * (t + a * (1 - t * t) / (1 + np.exp(-a)))


@pytest.fixture
def registered():
    """Registers parts and takes them out again at the end."""
    added = []

    def add(part):
        added.append(parts.register(part))
        return part

    yield add
    for part in added:
        parts.unregister(part)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_an_outside_activation_trains(registered, backend):
    if backend == "numba":
        pytest.importorskip("numba")
    registered(parts.Activation("mish", mish_forward, mish_backward))
    model = VAE(activation="mish", hidden=(8,), epochs=2, backend=backend).fit(X)
    assert np.isfinite(model.loss_curve_).all()
    assert model.transform(X).shape == (60, 2)


def test_a_backend_without_a_kernel_says_which_part(registered, capsys):
    pytest.importorskip("numba")
    registered(parts.Activation("mish", mish_forward, mish_backward))
    VAE(activation="mish", hidden=(8,), epochs=1, backend="numba", verbose=True).fit(X)
    said = "".join(capsys.readouterr())
    assert "mish" in said and "no fused kernel" in said


def without_half(dh, a):
    return mish_backward(dh, a) * (1 + 1e-4)


@pytest.mark.parametrize(
    ("forward", "backward", "name", "says"),
    [
        (mish_forward, lambda dh, a: -mish_backward(dh, a), "mish", "sign"),
        (mish_forward, without_half, "mish", "gradient of a is wrong"),
        (mish_forward, lambda dh, a: dh[0], "mish", "must return an array of shape"),
        (lambda a: a.sum(), mish_backward, "mish", "must return an array of shape"),
        (lambda a: a / None, mish_backward, "mish", "raises TypeError"),
        (mish_forward, lambda dh, a: dh * np.nan, "mish", "NaN"),
        (mish_forward, mish_backward, "relu", "already: choose"),
        (mish_forward, mish_backward, "my part", "is no name"),
        (mish_forward, mish_backward, 7, "is no name"),
    ],
)
def test_a_wrong_activation_is_refused_in_one_line(forward, backward, name, says):
    before = list(parts.ACTIVATIONS)
    with pytest.raises(parts.PartError) as caught:
        parts.register(parts.Activation(name, forward, backward))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert list(parts.ACTIVATIONS) == before


def test_registering_twice_is_refused(registered):
    part = parts.Activation("mish", mish_forward, mish_backward)
    registered(part)
    with pytest.raises(parts.PartError, match="already"):
        parts.register(part)


def test_a_missing_part_is_named():
    with pytest.raises(ConfigError, match=r"activation = 'mish'.*parts\.register"):
        ModelConfig(4, activation="mish")


def test_an_optimiser_that_climbs_is_refused():
    def climb(theta, grad, lr):
        theta += lr * grad

    with pytest.raises(parts.PartError, match="has to go down"):
        parts.register(parts.Optimiser("climb", climb, 0))


def test_an_outside_optimiser_trains(registered):
    def lion(theta, grad, m, lr, beta1, beta2):
        theta -= lr * np.sign(beta1 * m + (1 - beta1) * grad)
        m *= beta2
        m += (1 - beta2) * grad

    registered(parts.Optimiser("lion", lion, 1, {"beta1": 0.9, "beta2": 0.99}))
    model = VAE(optimiser="lion", hidden=(8,), epochs=3, lr=1e-3).fit(X)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_an_outside_likelihood_and_a_wrong_one(registered):
    def forward(out, x):
        return (0.5 * (out - x) ** 2).sum(axis=-1)

    def backward(dnll, out, x):
        return dnll[..., None] * (out - x)

    mean, draw = lambda K, out: out, lambda mean, out, noise: mean + noise.normals()
    registered(parts.Likelihood("unit-gaussian", forward, backward, mean, draw))
    model = VAE(likelihood="unit-gaussian", hidden=(8,), epochs=2).fit(X)
    assert np.isfinite(model.loss_curve_).all()
    wrong = parts.Likelihood("w", forward, lambda d, o, x: -backward(d, o, x), mean, draw)
    with pytest.raises(parts.PartError, match="gradient of out is wrong"):
        parts.register(wrong)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("x = 1", "registers no part"),
        ("def f(:", "SyntaxError"),
        ("from minivae import parts\nparts.register(3)", "is no part"),
    ],
)
def test_a_file_of_parts_that_cannot_be_used(tmp_path, source, says):
    file = tmp_path / "my_parts.py"
    file.write_text(source)
    with pytest.raises(parts.PartError) as caught:
        parts.load_parts(file)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(parts.PartError, match="cannot be read"):
        parts.load_parts(tmp_path / "missing.py")

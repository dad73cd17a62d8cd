"""Parts from outside: right ones train on every backend, wrong ones are refused in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from minivae import VAE, ops, parts
from minivae.models.config import ModelConfig
from minivae.parts.register import PARTS_FILES, parts_of_no_file, share_parts
from minivae.runs.config import TrainConfig
from minivae.settings import ConfigError

ELBO = parts.OBJECTIVES["elbo"]
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
    registered(parts.Activation("my_mish", mish_forward, mish_backward))
    model = VAE(activation="my_mish", hidden=(8,), epochs=2, backend=backend).fit(X)
    assert np.isfinite(model.loss_curve_).all()
    assert model.transform(X).shape == (60, 2)


def test_a_backend_without_a_kernel_says_which_part(registered, capsys):
    pytest.importorskip("numba")
    registered(parts.Activation("my_mish", mish_forward, mish_backward))
    VAE(activation="my_mish", hidden=(8,), epochs=1, backend="numba", verbose=True).fit(X)
    said = "".join(capsys.readouterr())
    assert "my_mish" in said and "no fused kernel" in said


def without_half(dh, a):
    return mish_backward(dh, a) * (1 + 1e-4)


@pytest.mark.parametrize(
    ("forward", "backward", "name", "says"),
    [
        (mish_forward, lambda dh, a: -mish_backward(dh, a), "my_mish", "sign"),
        (mish_forward, without_half, "my_mish", "gradient of a is wrong"),
        (mish_forward, lambda dh, a: dh[0], "my_mish", "must return an array of shape"),
        (lambda a: a.sum(), mish_backward, "my_mish", "must return an array of shape"),
        (lambda a: a / None, mish_backward, "my_mish", "raises TypeError"),
        (mish_forward, lambda dh, a: dh * np.nan, "my_mish", "NaN"),
        (mish_forward, mish_backward, "relu", "already: choose"),
        (mish_forward, mish_backward, "my part", "is no name"),
        (mish_forward, mish_backward, 7, "is no name"),
        (mish_forward, mish_backward, "-my-mish", "is no name"),
        (mish_forward, mish_backward, "ReLU", "'relu' is the name of another"),
        (
            lambda a: a - a.mean(axis=0),
            lambda dh, a: dh - dh.mean(axis=0),
            "my_mish",
            "mixes the rows",
        ),
        (lambda a: a + np.random.default_rng().normal(), lambda dh, a: 1 * dh, "my_mish", "random"),
        (lambda a: exec("raise SystemExit(3)"), mish_backward, "my_mish", "raises SystemExit"),
    ],
)
def test_a_wrong_activation_is_refused_in_one_line(forward, backward, name, says):
    before = list(parts.ACTIVATIONS)
    with pytest.raises(parts.PartError) as caught:
        parts.register(parts.Activation(name, forward, backward))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert list(parts.ACTIVATIONS) == before


def test_registering_twice_is_refused(registered):
    part = parts.Activation("my_mish", mish_forward, mish_backward)
    registered(part)
    with pytest.raises(parts.PartError, match="already"):
        parts.register(part)


def test_a_missing_part_is_named():
    with pytest.raises(ConfigError, match=r"activation = 'my_mish'.*parts\.register"):
        ModelConfig(4, activation="my_mish")


def test_an_optimiser_that_climbs_is_refused():
    def climb(theta, grad, lr):
        theta += lr * grad

    with pytest.raises(parts.PartError, match="has to go down"):
        parts.register(parts.Optimiser("climb", climb, 0))


def spends_the_gradient(theta, grad, lr):
    theta -= lr * grad
    grad *= 0


@pytest.mark.parametrize(
    ("update", "moments", "settings", "says"),
    [
        (lambda theta, grad, lr: theta - lr * grad, 0, {}, "has to change theta in place"),
        (spends_the_gradient, 0, {}, "changes the gradient"),
        (spends_the_gradient, -1, {}, "moments = -1: must be a whole number"),
        (spends_the_gradient, "two", {}, "moments = 'two'"),
        (spends_the_gradient, 0, {"k": "a"}, "k = 'a': must be a finite number"),
        (spends_the_gradient, 0, {"lr": 1.0}, "no name for a setting"),
    ],
)
def test_a_wrong_optimiser_is_refused_in_one_line(update, moments, settings, says):
    with pytest.raises(parts.PartError) as caught:
        parts.register(parts.Optimiser("mine", update, moments, settings))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert "mine" not in parts.OPTIMISERS


def test_an_outside_optimiser_trains(registered):
    def lion(theta, grad, m, lr, beta1, beta2):
        theta -= lr * np.sign(beta1 * m + (1 - beta1) * grad)
        m *= beta2
        m += (1 - beta2) * grad

    registered(parts.Optimiser("lion", lion, 1, {"beta1": 0.9, "beta2": 0.99}))
    model = VAE(optimiser="lion", hidden=(8,), epochs=3, lr=1e-3).fit(X)
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def halve(theta, grad, lr, rest):
    theta -= lr * (1 - rest) * grad


def test_an_outside_optimiser_says_what_its_settings_may_be(registered):
    registered(parts.Optimiser("mine", halve, 0, {"rest": 0.5}, bounds={"rest": (0.25, 1)}))
    assert TrainConfig(optimiser="mine", optimiser_settings={"rest": 0.25}).settings["rest"] == 0.25
    for value, says in ((1.0, "must be below 1"), (0.2, "of at least 0.25")):
        with pytest.raises(ConfigError, match=f"rest = {value}: .*{says}"):
            TrainConfig(optimiser="mine", optimiser_settings={"rest": value})


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"rest": (0.75, 1)}, "rest = 0.5: must be a finite number of at least 0.75"),
        ({"rest": (1, 0)}, "the bounds of rest must be"),
        ({"rest": 1}, "the bounds of rest must be"),
        ({"rest": (0, "1")}, "the bounds of rest must be"),
        ({"other": (0, 1)}, "'other', which is no setting"),
        (["rest"], "bounds must be names"),
    ],
)
def test_wrong_bounds_are_refused_in_one_line(bounds, says):
    with pytest.raises(parts.PartError) as caught:
        parts.register(parts.Optimiser("mine", halve, 0, {"rest": 0.5}, bounds=bounds))
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("name", parts.OPTIMISERS)
def test_within_its_bounds_an_optimiser_makes_no_nan_of_a_gradient_of_0(name, end):
    part = parts.OPTIMISERS[name]
    bounds = {key: part.bounds.get(key, (0.0, np.inf)) for key in part.settings}
    ends = {key: (least, np.nextafter(below, 0))[end] for key, (least, below) in bounds.items()}
    settings = part.settled({key: v for key, v in ends.items() if v <= 1})
    theta, grad = np.ones(4, np.float32), np.array([0, 1, -1e-3, 50], np.float32)
    moments = np.zeros((part.moments, 4), np.float32)
    for t in (1, 2, 3):
        part.descend(ops, theta, grad, moments, 1e-3, settings, t)
    assert np.isfinite(theta).all() and theta[0] > 0.9


@pytest.mark.parametrize("moments", [0, 3])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_an_optimiser_has_as_many_moments_as_it_likes(registered, backend, moments):
    if backend == "numba":
        pytest.importorskip("numba")

    def descend(theta, grad, *given):
        *kept, lr = given
        theta -= lr * grad
        for moment in kept:
            moment += grad

    registered(parts.Optimiser("mine", descend, moments))
    model = VAE(optimiser="mine", hidden=(8,), epochs=3, lr=1e-3, backend=backend).fit(X)
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


def a_likelihood(**kwargs):
    """A right one, but for what a test spoils."""
    given = {"forward": lambda out, x: (0.5 * (out - x) ** 2).sum(axis=-1),
             "backward": lambda dnll, out, x: dnll[..., None] * (out - x),
             "mean": lambda K, out: out,
             "draw": lambda mean, out, noise: mean + noise.normals()}  # fmt: skip
    return parts.Likelihood("mine", **{**given, **kwargs})


@pytest.mark.parametrize(
    ("spoiled", "says"),
    [
        ({"draw": lambda mean, out, noise: mean[0]}, "draw must return an array of shape"),
        ({"draw": lambda mean: mean}, "draw raises TypeError"),
        ({"scale": "c"}, "scale must be a parts.Scale"),
        ({"domain": None}, "domain must be a parts.Domain"),
        ({"formula": lambda: ""}, "formula raises TypeError"),
        ({"words": 7}, "words must be a sentence"),
    ],
)
def test_a_wrong_likelihood_is_refused_in_one_line(spoiled, says):
    with pytest.raises(parts.PartError) as caught:
        parts.register(a_likelihood(**spoiled))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert "mine" not in parts.LIKELIHOODS


def test_a_link_that_nobody_named_is_the_parts_own():
    """An export that knows `identity` must not take another mean for it."""
    assert a_likelihood().link == "mine" and parts.LIKELIHOODS["gaussian"].link == "identity"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"least_draws": 0}, "least_draws = 0: must be a whole number"),
        ({"formula": lambda draws: ""}, "formula raises TypeError"),
        ({"forward": lambda K, terms, beta, floor: terms.nll.sum(axis=0)}, "array of shape"),
        ({"forward": lambda K, terms, beta, floor: ELBO.forward(K, terms, beta, 0.0)},
         "with free_bits = 0.85 was not registered: the gradient of"),
    ],
)  # fmt: skip
def test_a_wrong_objective_is_refused_in_one_line(changes, says):
    with pytest.raises(parts.PartError) as caught:
        parts.register(dataclasses.replace(ELBO, name="mine", **changes))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert "mine" not in parts.OBJECTIVES


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


def test_a_worker_runs_a_file_once_and_never_an_older_text_of_it(tmp_path):
    file = str(tmp_path / "mine.py")
    source = (
        "import numpy as np\nfrom minivae import parts\n"
        "parts.register(parts.Activation('my_sine', np.sin, lambda dh, a: dh * np.cos(a)))\n"
    )
    try:
        for _ in range(2):
            share_parts({file: source})  # the file itself need not be there
        assert "my_sine" in parts.ACTIVATIONS and parts_of_no_file() == []
        with pytest.raises(parts.PartError, match=r"mine\.py: this worker ran it before"):
            share_parts({file: source + "# changed\n"})
        PARTS_FILES.clear()
        assert parts_of_no_file() == [("activation", "my_sine")]
    finally:
        PARTS_FILES.clear()
        parts.unregister(parts.ACTIVATIONS["my_sine"])

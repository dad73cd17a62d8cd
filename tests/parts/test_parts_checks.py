"""What a part has to stand beside its gradient: each kind of fault is seen, none in ours."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pytest

from minivae import VAE, parts
from minivae.parts import checks
from minivae.parts.register import PARTS_FILES

ELBO = parts.OBJECTIVES["elbo"]
X = np.random.default_rng(0).random((60, 9)).astype(np.float32)


def refusal(part) -> str:
    """The one line with which a part is refused."""
    tables = (parts.ACTIVATIONS, parts.LIKELIHOODS, parts.OPTIMISERS, parts.OBJECTIVES)
    before = [list(table) for table in tables]
    with pytest.raises(parts.PartError) as caught:
        parts.register(part)
    assert [list(table) for table in tables] == before
    line = str(caught.value)
    assert "\n" not in line and part.name in line
    return line


@pytest.mark.parametrize("table, check", [
    (parts.ACTIVATIONS, checks.check_activation), (parts.LIKELIHOODS, checks.check_likelihood),
    (parts.OPTIMISERS, checks.check_optimiser), (parts.OBJECTIVES, checks.check_objective),
], ids=["activations", "likelihoods", "optimisers", "objectives"])  # fmt: skip
def test_every_part_of_ours_would_be_let_in(table, check):
    for part in table.values():
        check(part)


def slope(a):
    return np.cos(a)


def counting(a, calls=[]):  # noqa: B006 - it is to remember
    calls.append(a)
    return np.sin(a)


def remembering(dh, a):
    return dh * np.cos(counting.__defaults__[0][-1])


def in_one_place(a, room={}):  # noqa: B006
    key = a.shape, a.dtype.str
    room[key] = np.sin(a, out=room.get(key))
    return room[key]


ACTIVATIONS = {
    "nan at zero": (lambda a: np.sin(a) * a / a, lambda d, a: d * slope(a), "gives nan at a = 0"),
    "nan at zero, backward": (np.sin, lambda d, a: d * slope(a) * a / a, "backward gives nan"),
    "infinite slope at zero": (
        lambda a: np.sign(a) * np.sqrt(np.abs(a)), lambda d, a: d * 0.5 / np.sqrt(np.abs(a)),
        "backward gives inf at a = 0",
    ),
    "nan far out": (
        lambda a: np.exp(a) / (1 + np.exp(a)), lambda d, a: d * np.exp(a) / (1 + np.exp(a)) ** 2,
        "forward gives nan at a = 100",
    ),
    "wrong far out": (np.sin, lambda d, a: np.where(np.abs(a) > 9, 0, d * slope(a)), "gradient of"),
    "wrong at zero": (
        np.sin, lambda d, a: np.where(a == 0, 0, d * slope(a)), "slope 0 at a = 0, where it is 1",
    ),
    "right in float64 alone": (
        np.sin, lambda d, a: d * slope(a) if a.dtype == np.float64 else d, "on float32",
    ),
    "no float32": (
        lambda a: np.sin(a) if a.dtype != np.float32 else a / None, lambda d, a: d * slope(a),
        "on float32: forward raises TypeError",
    ),
    "one row is another": (
        lambda a: np.sin(a) * (1 + (len(a) == 1)), lambda d, a: d * slope(a) * (1 + (len(a) == 1)),
        "mixes the rows",
    ),
    "many rows are another": (
        lambda a: np.sin(a) if len(a) < 64 else np.cos(a), lambda d, a: d * slope(a), "mixes",
    ),
    "two axes only": (
        lambda a: np.einsum("bd->bd", np.sin(a)), lambda d, a: d * slope(a), "(2, 5, 7), raises",
    ),
    "remembers the last forward": (counting, remembering, "a second call of forward changes"),
    "one room for all": (in_one_place, lambda d, a: d * slope(a), "a second call of forward"),
    "no function": (np.sin, "cos", "backward must be a function, not str"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ACTIVATIONS)
def test_faults_of_activations(fault):
    forward, backward, says = ACTIVATIONS[fault]
    assert says in refusal(parts.Activation("mine", forward, backward))


@pytest.mark.parametrize("name", ["m" * 99, "", "a b", "1a", "a\nb", None, 3, ("a",)])
def test_names_that_are_none(name):
    with pytest.raises(parts.PartError, match=r"no name for a part|too long for a name"):
        parts.register(parts.Activation(name, np.sin, lambda d, a: d * slope(a)))


def likelihood(**spoiled):
    given = {"forward": lambda out, x: (0.5 * (out - x) ** 2).sum(axis=-1),
             "backward": lambda dnll, out, x: dnll[..., None] * (out - x),
             "mean": lambda K, out, *beside: out,
             "draw": lambda mean, out, noise, *beside: mean + noise.normals()}  # fmt: skip
    return parts.Likelihood("mine", **{**given, **spoiled})


def domain(bad):
    return parts.Domain("any numbers", bad, "leave them out")


SCALED = {
    "forward": lambda out, x, s: (0.5 * ((x - out) * np.exp(-s)) ** 2 + s).sum(axis=-1),
    "backward": lambda dnll, out, x, s: (
        -dnll[..., None] * (x - out) * np.exp(-2 * s),
        (dnll[..., None] * (1 - ((x - out) * np.exp(-s)) ** 2)).sum(),
    ),
}


def mixing(out, x):
    total = out.sum(axis=-1)
    return (0.5 * (out - x) ** 2).sum(axis=-1) + (total**2).mean(axis=1, keepdims=True)


def mixing_backward(dnll, out, x):
    total = 2 * out.sum(axis=-1) * dnll.mean(axis=1, keepdims=True)
    return dnll[..., None] * (out - x) + total[..., None]


LIKELIHOODS = {
    "rows mixed": ({"forward": mixing, "backward": mixing_backward}, "mixes the rows"),
    "data changed": (
        {"forward": lambda o, x: (0.5 * (np.clip(x, 0, 1, out=x) - o) ** 2).sum(axis=-1)},
        "change",
    ),
    "six columns only": (
        {"forward": lambda o, x: (0.5 * (o - x) ** 2).reshape(*o.shape[:2], 6).sum(axis=-1)},
        "raised ValueError",
    ),
    "nan on float32": (
        {"forward": lambda o, x: ((o - x) ** 2 / (2 * (o.dtype != np.float32))).sum(axis=-1)},
        "on float32",
    ),
    "mean nan": ({"mean": lambda K, out: out * np.nan}, "mean gives nan"),
    "mean complex": ({"mean": lambda K, out: out + 1j}, "mean must return real numbers"),
    "mean in place": ({"mean": lambda K, out: np.multiply(out, 2, out=out)}, "output in place"),
    "draw nan": ({"draw": lambda mean, out, noise: mean * np.nan}, "draw gives nan"),
    "draw by other chance": (
        {"draw": lambda mean, out, noise: mean + np.random.default_rng().normal(size=mean.shape)},
        "chance of its own",
    ),
    "domain raises": ({"domain": domain(lambda x, g: x / None)}, "domain.bad raises TypeError"),
    "domain none": ({"domain": domain(lambda x, g: None)}, "domain.bad must return an array"),
    "domain of rows": ({"domain": domain(lambda x, g: (x > 9).any(1))}, "array of shape (4, 6)"),
    "domain of numbers": ({"domain": domain(lambda x, g: 0 * x)}, "True or False, not float64"),
    "domain without a function": ({"domain": domain(None)}, "domain.bad must be a function"),
    "a scale's tensor": (
        {**SCALED, "scale": parts.Scale("decoder.out.W", "s", "deviation")}, "scale.tensor must be",
    ),
    "a scale without a tensor": (
        {**SCALED, "scale": parts.Scale(None, "s", "deviation")}, "scale.tensor must be",
    ),
    "a scale without words": (
        {**SCALED, "scale": parts.Scale("decoder.logs", "s", None)}, "scale.words must be a sent",
    ),
    "two lines": ({"output": "the\nmean"}, "output must be a sentence, not more than one line"),
    "a number for words": ({"targets": 3}, "targets must be a sentence, not int"),
    "one text for remarks": ({"remarks": "abc"}, "remarks must be a tuple of sentences"),
    "a word for yes": ({"binary": "no"}, "binary must be True or False"),
    "a start that is none": ({"output_of": lambda mean: mean * np.nan}, "output_of gives nan"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LIKELIHOODS)
def test_faults_of_likelihoods(fault):
    spoiled, says = LIKELIHOODS[fault]
    assert says in refusal(likelihood(**spoiled))


TAKES = {
    "above 1": lambda x, g: ~(x > 1), "below 0": lambda x, g: ~(x < 0),
    "stars": lambda x, g: ~np.isin(x, (1, 2, 3, 4, 5)), "signs": lambda x, g: ~(np.abs(x) == 1),
    "shares of a row": lambda x, g: np.abs(x.sum(axis=1, keepdims=True) - 1 + 0 * x) > 1e-3,
    "unit rows": lambda x, g: np.abs((x * x).sum(axis=1, keepdims=True) - 1 + 0 * x) > 1e-3,
    "angles": lambda x, g: ~(np.abs(x) <= np.pi),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKES)
def test_data_of_many_domains_are_found(kind):
    checks.check_likelihood(likelihood(domain=domain(TAKES[kind])))


def test_a_part_of_ours_cannot_be_taken_out():
    with pytest.raises(parts.PartError, match="activation 'relu' was not registered"):
        parts.unregister(parts.ACTIVATIONS["relu"])
    assert "relu" in parts.ACTIVATIONS


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_partial_function_and_a_wide_result_train_as_a_plain_one(backend):
    """`np.where(a > 0, 1, 0.1)` is float64: what follows computes in float32 all the same."""
    if backend == "numba":
        pytest.importorskip("numba")

    def forward(a, slope):
        return np.where(a > 0, 1, slope) * a

    def backward(dh, a):
        return dh * np.where(a > 0, 1, 0.1)

    def narrow(dh, a):
        return dh * np.where(a > 0, 1, 0.1).astype(dh.dtype)

    ends = []
    for back in (backward, narrow):
        part = parts.Activation("mine", functools.partial(forward, slope=0.1), back)
        parts.register(part)
        try:
            ends.append(
                VAE(activation="mine", hidden=(8,), epochs=2, backend=backend).fit(X).theta_
            )
        finally:
            parts.unregister(part)
    assert ends[0].dtype == np.float32 and np.allclose(*ends, atol=1e-5)


def test_a_file_that_fails_leaves_nothing_behind(tmp_path):
    file = tmp_path / "mine.py"
    good = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "import numpy as np\n"
        "from minivae import parts\n\n@dataclass\nclass Slope:\n    factor: float\n"
        "    def __call__(self, dh, a):\n        return self.factor * dh * np.cos(a)\n\n"
        "part = parts.register(parts.Activation('my_sine', np.sin, Slope(1.0)))\n"
    )
    file.write_text(good + "part / None\n")
    with pytest.raises(parts.PartError, match=r"mine\.py: TypeError"):
        parts.load_parts(file)
    assert "my_sine" not in parts.ACTIVATIONS and "parts_of_mine" not in sys.modules
    file.write_text(good)
    assert not PARTS_FILES and parts.load_parts(file) == ["activation my_sine"]
    parts.unregister(parts.ACTIVATIONS["my_sine"])
    PARTS_FILES.pop(str(file))  # every hint of a later test would name it

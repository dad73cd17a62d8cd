"""Does the forward match the maths: identities, and a bug that no gradient check sees."""

from types import SimpleNamespace

import numpy as np
import pytest

from minivae import ops
from minivae.models import vae
from minivae.parts.objectives import _log_weights
from minivae.proof import cases, meaning
from minivae.proof.exact_gradients import ExactGradients
from minivae.proof.mutation_score import planted

RESULTS = {m.name: m for m in meaning.checks()}


@pytest.mark.parametrize("name", RESULTS)
def test_identity(name):
    assert RESULTS[name].error <= RESULTS[name].limit


def changed(**new):
    K = SimpleNamespace(**{name: getattr(ops, name) for name in ops.OPS})
    vars(K).update(new)
    return K


def test_variance_for_standard_deviation_passes_gradient_checks_and_fails_here():
    K = changed(
        reparameterise_forward=lambda mu, v, eps: mu + np.exp(v) * eps,
        reparameterise_backward=lambda dz, v, eps: (
            dz.sum(axis=0),
            (dz * eps).sum(axis=0) * np.exp(v),
        ),
    )
    assert cases.find(["reparameterise"])[0].run(K).ok
    bad = [m for m in meaning.checks(K) if not m.ok]
    assert bad and bad[0].op == "reparameterise_forward" and "variance" in bad[0].name


@pytest.mark.parametrize(
    ("op", "wrong"),
    [
        ("kl_forward", lambda mu, v: 0.5 * (mu * mu + np.exp(v) - v)),
        ("bernoulli_nll_forward", lambda a, x: (np.log1p(np.exp(a)) - x * a).mean(axis=-1)),
        ("gaussian_nll_forward", lambda m, x, c: 0.5 * np.exp(-c) * ((m - x) ** 2).sum(axis=-1)),
        ("normals", lambda *args: 1.1 * ops.normals(*args)),
        ("reparameterise_backward", lambda dz, v, e: (dz.sum(0), (dz * e).sum(0) * np.exp(v / 2))),
    ],
)
def test_a_wrong_formula_is_blamed(op, wrong):
    named = {m.op for m in meaning.checks(changed(**{op: wrong})) if not m.ok}
    assert op in named


def blamed():
    return [m.op for m in meaning.checks() if not m.ok]


def test_the_model_s_own_loss_is_held_to_the_evidence(monkeypatch):
    right = vae.elbo_forward

    def no_mean_over_draws(*args):
        loss, cache = right(*args)
        return loss + 0.01 * cache.terms.kl.mean(), cache

    monkeypatch.setattr(vae, "elbo_forward", no_mean_over_draws)
    assert blamed() == ["elbo_forward"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda K, terms, *_: -_log_weights(terms, 1.0).mean(),  # the ELBO of as many draws
        lambda K, terms, *_: -np.log(np.exp(_log_weights(terms, 1.0)).sum(axis=0)).mean(),
        lambda K, terms, *_: np.asarray(np.nan),
    ],
    ids=["a mean of logarithms", "a sum for a mean", "nan"],
)
def test_a_wrong_bound_is_blamed(wrong):
    with planted("parts.objectives.iwae_objective_forward", wrong):
        assert set(blamed()) == {"iwae_objective_forward"}
    assert blamed() == []


def test_a_forward_off_by_a_constant_is_noticed_though_its_gradient_is_right():
    K = changed(kl_forward=lambda mu, v: ops.kl_forward(mu, v) + 0.5)
    case = cases.find(["kl"])[0]
    assert case.run(K).ok and ExactGradients(case).wrong(K) == "y"

"""The likelihoods p(x | z): what the decoder's output means, and what is learned beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minivae.ops import likelihood as ops
from minivae.parts.domains import COUNTS, REAL, SHARES, UNIT, Domain
from minivae.parts.lookup import Table, kernel
from minivae.types import Array


class Scale(NamedTuple):
    """A positive number that a likelihood has beside the decoder's output, kept as its logarithm.

    tensor: the parameter's name where it is learned. symbol: what it is called in formulas.
    words: what it is. each: one for every feature instead of one for all.
    """

    tensor: str
    symbol: str
    words: str
    each: bool = False

    def shape(self, data_dim: int) -> tuple[int, ...]:
        """The shape of its logarithm."""
        return (data_dim,) if self.each else ()


class Noise(NamedTuple):
    """Where a draw of data takes its random numbers from: arrays (N, D), made when asked for."""

    uniforms: Callable[[], Array]
    normals: Callable[[], Array]


@dataclass(frozen=True)
class Likelihood:
    """p(x | z) of one datum given the decoder's output, and what people should know about it.

    forward(out, x, *extra) -> nll (L, B) in nats, out (L, B, D), x (B, D);
    backward(dnll, out, x, *extra) -> dout (L, B, D), and the gradient of log scale if it has one;
    mean(K, out, *extra) -> E[x | z], of out's shape;
    draw(mean, out, noise, *extra) -> x (N, D) from p(x | z).
    `extra` is log scale where there is a scale, the sizes of the groups where there are groups.

    domain: the data it accepts. words: what it is for. output: what the decoder's output is.
    link: the function from that output to E[x | z], by name: the part's own where none is given,
    which exports then refuse. formula(D, scale or None) -> its
    -log p(x | z) in letters. term: that term's name. targets: what log p is the likelihood of.
    binary: whether targets of 0 and 1 are what it is made for, so that binarising makes sense.
    squared_error: whether its term is a multiple of the squared error, so that it converts.
    output_of: the decoder's output that has a given mean, where it is known: a bias to start at.
    remarks: sentences for `explain-loss`.
    """

    name: str
    forward: Callable[..., Array]
    backward: Callable[..., Any]
    mean: Callable[..., Array]
    draw: Callable[..., Array]
    domain: Domain = REAL
    scale: Scale | None = None
    grouped: bool = False
    words: str = ""
    output: str = "the mean"
    link: str = ""
    formula: Callable[[int, float | None], str] = lambda D, scale: "-log p(x|z)"
    term: str = "-log p(x|z)"
    targets: str = "as given (a density: nats may have either sign)"
    binary: bool = False
    squared_error: bool = False
    output_of: Callable[[Array], Array] | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.link:
            object.__setattr__(self, "link", self.name)

    def nll_forward(self, K: Any, out: Array, x: Array, extra: tuple[Any, ...]) -> Array:
        """-log p(x | z) in nats by backend K: (L, B, D) -> (L, B)."""
        return kernel(K, self.forward)(out, x, *extra)

    def nll_backward(
        self, K: Any, dnll: Array, out: Array, x: Array, extra: tuple[Any, ...]
    ) -> tuple[Array, Any]:
        """The gradients in the decoder's output (L, B, D) and in log scale, None without one."""
        result = kernel(K, self.backward)(dnll, out, x, *extra)
        return result if self.scale is not None else (result, None)


def _mean_is_output(K: Any, out: Array, *extra: Any) -> Array:
    return out


def _sigmoid_mean(K: Any, logits: Array) -> Array:
    return K.sigmoid_forward(logits)


def _logit(mean: Array) -> Array:
    """The logit of a mean held within [0.001, 0.999], as Burda et al. 2016's own code does."""
    held = np.clip(mean, 0.001, 0.999)
    return np.log(held / (1 - held))


def _same(mean: Array) -> Array:
    return mean


def _flip_coins(mean: Array, logits: Array, noise: Noise) -> Array:
    return (noise.uniforms() < mean).astype(np.float32)


def _add_normals(mean: Array, out: Array, noise: Noise, logc: Array) -> Array:
    sigma = np.exp(0.5 * np.asarray(logc, dtype=np.float64)).astype(np.float32)
    return np.asarray(mean + sigma * noise.normals()).astype(np.float32)


def _bernoulli_formula(D: int, scale: float | None) -> str:
    return f"-log p(x|z) = sum over {D} pixels of softplus(logit) - x * logit"


def _gaussian_formula(D: int, c: float | None) -> str:
    if c is None:
        return f"-log p(x|z) = |x - f(z)|^2 / (2c) + {D}/2 * log(2 pi c), c learned"
    constant = 0.5 * D * math.log(2 * math.pi * c)
    return f"-log p(x|z) = {1 / (2 * c):.6g} * |x - f(z)|^2 {constant:+.6g}   (sum over {D} pixels)"


def _add_laplace(mean: Array, out: Array, noise: Noise, logb: Array) -> Array:
    u = noise.uniforms().astype(np.float64) - 0.5
    away = -np.exp(float(logb)) * np.sign(u) * np.log1p(-2 * np.abs(u))
    return np.asarray((mean + away).astype(np.float32))


def _add_student(mean: Array, out: Array, noise: Noise, logb: Array) -> Array:
    from scipy.stats import t

    away = np.exp(float(logb)) * t.ppf(noise.uniforms().astype(np.float64), 4)
    return np.asarray((mean + away).astype(np.float32))


def _continuous_bernoulli_mean(K: Any, logits: Array) -> Array:
    return ops.continuous_bernoulli_mean(logits)


def _continuous_bernoulli_draw(mean: Array, logits: Array, noise: Noise) -> Array:
    """The quantile of a uniform number: log(1 + u (exp a - 1)) / a, and u itself at a = 0."""
    u, a = noise.uniforms().astype(np.float64), logits.astype(np.float64)
    size = np.maximum(np.abs(a), 1e-6)  # by symmetry x at -a is 1 - x at a with 1 - u
    v = np.where(a > 0, u, 1 - u)
    x = 1 + np.log(v + (1 - v) * np.exp(-size)) / size
    return np.clip(np.where(a > 0, x, 1 - x), 0.0, 1.0).astype(np.float32)


def _exponential(K: Any, out: Array, *extra: Any) -> Array:
    return np.exp(out)


def _poisson_draw(mean: Array, lograte: Array, noise: Noise) -> Array:
    from scipy.stats import poisson

    return np.asarray(poisson.ppf(noise.uniforms(), mean.astype(np.float64)), dtype=np.float32)


def _negative_binomial_draw(mean: Array, logmean: Array, noise: Noise, logr: Array) -> Array:
    from scipy.stats import nbinom

    r = np.exp(float(logr))
    chance = r / (r + mean.astype(np.float64))
    return np.asarray(nbinom.ppf(noise.uniforms(), r, chance), dtype=np.float32)


def _group_softmax(K: Any, logits: Array, groups: tuple[int, ...]) -> Array:
    return ops.softmax(logits, groups)


def _categorical_draw(mean: Array, logits: Array, noise: Noise, groups: tuple[int, ...]) -> Array:
    u, x = noise.uniforms(), np.zeros_like(mean)
    for columns in ops.group_slices(groups):
        steps = mean[:, columns].cumsum(axis=1)
        kind = (u[:, columns.start, None] * steps[:, -1:] > steps).sum(axis=1)
        x[np.arange(len(x)), columns.start + kind] = 1
    return x


LIKELIHOODS: Table[Likelihood] = Table(
    "likelihood",
    [
        Likelihood(
            "bernoulli", ops.bernoulli_nll_forward, ops.bernoulli_nll_backward,
            _sigmoid_mean, _flip_coins, domain=UNIT,
            words="coin flips; for pixels of 0 and 1, and as a cross-entropy for grey ones",
            output="logits", link="sigmoid", formula=_bernoulli_formula,
            term="cross-entropy", targets="as given", binary=True, output_of=_logit,
        ),
        Likelihood(
            "gaussian", ops.gaussian_nll_forward, ops.gaussian_nll_backward,
            _mean_is_output, _add_normals, scale=Scale("decoder.logc", "c", "the variance"),
            link="identity", words="any real data, with one variance c", formula=_gaussian_formula,
            squared_error=True, output_of=_same,
        ),
        Likelihood(
            "gaussian-diagonal", ops.gaussian_diagonal_nll_forward,
            ops.gaussian_diagonal_nll_backward, _mean_is_output, _add_normals,
            scale=Scale("decoder.logc", "c", "the variance of each feature", each=True),
            link="identity", words="any real data, with a variance for every feature",
            formula=lambda D, c: (
                f"-log p(x|z) = sum over {D} features of (x - f(z))^2 / (2 c_d) + log(2 pi c_d) / 2"
            ),
            output_of=_same,
        ),
        Likelihood(
            "laplace", ops.laplace_nll_forward, ops.laplace_nll_backward,
            _mean_is_output, _add_laplace,
            scale=Scale("decoder.logb", "b", "the mean absolute deviation"),
            link="identity", words="real data with outliers, by absolute error",
            formula=lambda D, b: (
                f"-log p(x|z) = sum over {D} features of |x - f(z)| / b + log(2 b)"
            ),
            output="the median",
        ),
        Likelihood(
            "student-t", ops.student_t_nll_forward, ops.student_t_nll_backward,
            _mean_is_output, _add_student, scale=Scale("decoder.logb", "b", "the scale"),
            link="identity", words="real data with gross outliers, which it lets go (4 degrees)",
            formula=lambda D, b: (
                f"-log p(x|z) = sum over {D} features of "
                "5/2 log(1 + (x - f(z))^2 / 4b^2) + log(8b/3)"
            ),
        ),
        Likelihood(
            "continuous-bernoulli", ops.continuous_bernoulli_nll_forward,
            ops.continuous_bernoulli_nll_backward,
            _continuous_bernoulli_mean, _continuous_bernoulli_draw, domain=UNIT,
            words="grey pixels: a density on [0, 1]", output="logits", link="continuous-bernoulli",
            formula=lambda D, scale: (
                f"-log p(x|z) = sum over {D} pixels of log((exp(logit) - 1) / logit) - x * logit"
            ),
            remarks=(
                "Continuous Bernoulli: a density over grey values in [0, 1], so nats may have "
                "either sign and do not compare with the Bernoulli's cross-entropy.",
            ),
        ),
        Likelihood(
            "poisson", ops.poisson_nll_forward, ops.poisson_nll_backward,
            _exponential, _poisson_draw, domain=COUNTS, words="counts",
            output="the logarithm of the rate", link="exp", targets="counts, as given",
            formula=lambda D, scale: (
                f"-log p(x|z) = sum over {D} counts of rate - x * log(rate) + log(x!)"
            ),
        ),
        Likelihood(
            "negative-binomial", ops.negative_binomial_nll_forward,
            ops.negative_binomial_nll_backward, _exponential, _negative_binomial_draw,
            domain=COUNTS, scale=Scale("decoder.logr", "r", "the dispersion: variance m + m^2 / r"),
            words="counts that vary more than a Poisson's",
            output="the logarithm of the mean", link="exp", targets="counts, as given",
            formula=lambda D, r: (
                f"-log p(x|z) = sum over {D} counts of log Gamma(r) + log(x!) "
                "- log Gamma(x + r) + (x + r) * softplus(t) - x * t,  t = log m - log r"
            ),
        ),
        Likelihood(
            "categorical", ops.categorical_nll_forward, ops.categorical_nll_backward,
            _group_softmax, _categorical_draw, domain=SHARES, grouped=True,
            words="one-hot groups of columns: which of several kinds",
            output="logits", link="softmax", targets="kinds, as given",
            formula=lambda D, scale: (
                f"-log p(x|z) = sum over groups of the {D} columns of "
                "log sum exp(logits) - logit of the kind"
            ),
        ),
    ],
)  # fmt: skip


def log_scale(c: float | str) -> float | None:
    """The logarithm of a scale that is given; None where it is learned."""
    return None if isinstance(c, str) else math.log(float(c))

"""Bugs planted in the CUDA sources, one at a time: the checks of this folder must see every one.

Slow: each one is compiled for the host anew.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu import sources
from minivae_kernels.gpu.descent import OPTIMISERS
from minivae_kernels.gpu.host_device import HostDevice

from minivae import ops
from minivae.backend import Backend
from minivae.models.config import ModelConfig

sys.path.insert(0, str(Path(__file__).parent))
import gpu_steps
from gpu_cases import SHAPES
from gpu_checks import call, check_op

pytestmark = pytest.mark.slow

# file, right, wrong, what should notice: an op's name, "step", "noise", "long walk"
BUGS = [
    ("elementwise.cu", "x <= 0 ? real(0) : d)", "x < -1 ? real(0) : d)", "relu_backward"),
    ("elementwise.cu", "d * ((1 - x) * (1 + x))", "d * (1 - x)", "dense_tanh_backward"),
    ("elementwise.cu", "d * (4 * bell_of", "d * (3.9999f * bell_of", "tanh_backward"),
    ("elementwise.cu", "log1p_of(exp_of(", "log_(1 + exp_of(", "softplus_forward"),
    ("elementwise.cu", "start; i < n;", "start; i < n - 1;", "tanh_forward"),
    ("common.cuh", "sum += held[w][c /", "sum = held[w][c /", "dense_backward_params"),
    ("common.cuh", "[lane] = mine", "[lane ^ 1] = mine", "dense_backward_params"),
    ("elementwise.cu", "y.v[i] = f(e.v[i], y.v[i])", "y.v[i] = f(d.v[i], y.v[i])", "long walk"),
    ("common.cuh", "apart > 0; apart /= 2", "apart > 1; apart /= 2", "bernoulli_nll_forward"),
    ("common.cuh", "__syncthreads();\n    const int c", "const int c", "dense_backward_params"),
    ("dense.cu", "y.v[i] + shift.v[i]", "y.v[i]", "dense_forward"),
    ("dense.cu", "if (before)", "if (before && r > 0)", "silu, 35 latent"),
    ("narrow.cu", "if (before)", "if (before && r > 0)", "silu, 4 latent"),
    ("activation.cuh", "d * (kept * (1 - kept))", "d * kept", "sigmoid, 4 latent"),
    ("activation.cuh", "d * -expm1_of(-kept)", "d * expm1_of(kept)", "softplus, 4 latent"),
    ("activation.cuh", "d : d * (kept + 1)", "d : d * kept", "elu, 4 latent"),
    ("activation.cuh", "x <= 0 ? LEAK * d : d", "x < 0 ? d : d", "leaky_relu_backward"),
    ("activation.cuh", "+ x * normal_pdf(near(x))", "", "gelu, 4 latent"),
    ("activation.cuh", "real(0.5) * erfc_of", "real(0.50001) * erfc_of", "gelu_forward"),
    ("activation.cuh", "* bend_slope(b)", "", "gelu_tanh_backward"),
    ("activation.cuh", "x * sigmoid_of(-x)", "sigmoid_of(-x)", "silu_backward"),
    ("dense.cu", "t = warp; t < tiles", "t = warp + 1; t < tiles", "dense_backward_params"),
    ("dense.cu", "__syncthreads();\n    if (warp > 0", "if (warp > 0", "dense_backward_params"),
    ("latent_math.cuh", "exp_of(real(0.5) * logvar)", "exp_of(logvar)", "reparameterise_forward"),
    ("latent_math.cuh", "(expm1_of(logvar) - logvar)", "(expm1_of(logvar) + logvar)", "kl_forward"),
    ("latent.cu", "v[i] += d.v[i] * m", "v[i] = d.v[i] * m", "latent_backward"),
    ("likelihood.cu", "- x * a;", "- x * a * real(1.0001);", "bernoulli_nll_forward"),
    ("likelihood_pass.cuh", "upstream * slope", "slope", "bernoulli_nll_backward"),
    ("likelihood_pass.cuh", "r % batch", "r / 2 % batch", "gaussian_nll_backward"),
    ("likelihood.cu", "(columns - scaled)", "(1 - scaled)", "gaussian_nll_backward"),
    ("likelihood.cu", "r < 0 ? real(-1)", "r < 0 ? real(1)", "laplace_nll_backward"),
    ("likelihood.cu", "pull = 1 - 5 * (q", "pull = 1 - 4 * (q", "student_t_nll_backward"),
    ("likelihood.cu", "a * rising - x", "rising - x", "continuous_bernoulli_nll_backward"),
    ("counts.cuh", "k < x)", "k <= x)", "poisson_nll_forward"),
    ("counts.cuh", "first.lack - last.lack", "first.lack", "negative_binomial_nll_backward"),
    ("likelihood.cu", "by.slope) - exact", "by.slope)", "negative-binomial, learned"),
    ("likelihood.cu", "(1 - scaled)", "(0 - scaled)", "gaussian-diagonal, learned"),
    ("likelihood_pass.cuh", "+= upstream * pull", "+= pull", "gaussian_diagonal_nll_backward"),
    ("likelihood.cu", "top = warp_max(top);", "", "categorical_nll_forward"),
    ("likelihood.cu", "weight * e - datum[c]", "e - datum[c]", "categorical, no scale"),
    ("iwae.cu", "price * 0.5 * ratio", "0.5 * ratio", "iwae bernoulli, 40 draws"),
    ("iwae.cu", "real(share / batch)", "real(share)", "iwae categorical, 3 draws"),
    ("iwae.cu", "weighted += share * kept", "weighted += kept", "iwae gaussian, 3 draws"),
    ("step.cu", "real(0.5) * factor[j] / batch", "factor[j] / batch", "iwae bernoulli, 40 draws"),
    ("step.cu", "* z[l * plane + at]", "", "iwae negative-binomial, 3 draws"),
    ("philox.cuh", "0xBB67AE85u", "0xBB67AE86u", "noise"),
    ("philox.cuh", "0.20000708f", "0.20000709f", "noise"),
    ("philox.cuh", "__fadd_rn(__fmul_rn(p, x), c)", "fmaf(p, x, c)", "noise"),
    ("philox.cuh", "odd ? c : s", "odd ? s : c", "noise"),
    ("batch.cu", "uniform_of(word) < grey", "uniform_of(word) <= grey * 0.999f", "step"),
    ("batch.cu", "counters[CALL] * batch", "counters[CALL]", "step"),
    ("optimiser.cu", "rest2 * (g * g)", "rest2 * g", "step"),
    ("optimiser.cu", "m += g * g;", "m += g;", "adagrad"),
    ("optimiser.cu", "theta *= rest;", "", "adamw"),
    ("optimiser.cu", "decay * m + rest", "m + rest", "rmsprop"),
    ("step.cu", "1 - lr[call] * decay", "1 - decay", "adamw"),
    ("optimiser.cu", "if (counters[LIVE]) walk(rule", "walk(rule", "bad loss"),
    ("step.cu", "factor[j] * mu[at];", "mu[at];", "step"),
    ("step.cu", "real(beta[call] / batch)", "real(beta[0] / batch)", "step"),
    ("step.cu", "double(now + 1))) : lr", "double(now + 2))) : lr", "step"),
    ("step.cu", "l * latent + j), sample", "l * latent), sample", "step"),
    ("step.cu", "kl / batch < free_bits", "kl < free_bits", "step"),
    ("step.cu", "warp ? logvar_offset : mu_offset", "warp ? mu_offset : logvar_offset", "step"),
    ("step.cu", "counters[NOW] = now + 1;", "counters[NOW] = now;", "step"),
    ("step.cu", "sums[NLL] += nll / draws;", "sums[NLL] += nll;", "step"),
    ("step.cu", "(columns - scaled)", "(1 - scaled)", "step"),
    ("narrow.cu", "sum.v[i] + shift.v[i]", "sum.v[i]", "step"),
    ("narrow.cu", "turned ? i64(column) * inner + k", "turned ? i64(column) + k", "step"),
    ("narrow.cu", "inner, held + NARROW", "inner, held", "step"),
    ("narrow.cu", "sum.v[i] += d.v[i];", "sum.v[i] = d.v[i];", "tall step"),
    ("narrow.cu", "__syncthreads();\n    Quad sum", "Quad sum", "step"),
    ("step.cu", "t = warp; t < kl_tiles", "t = warp + 1; t < kl_tiles", "step"),
    ("step.cu", "share += free ?", "share = free ?", "step"),
    ("step.cu", "sums[KL_J + j] += kl_now[j];", "sums[KL_J + j] = kl_now[j];", "step"),
]


def notice(K: Backend, where: str) -> None:
    """Raise AssertionError if the check called `where` sees something wrong."""
    if where == "noise":
        rows = np.arange(300)
        theirs = ops.normals(3, 2, 1, rows, 70)
        same = np.array_equal(call(K, "normals", (3, 2, 1, rows, 70))[0], theirs)
        assert same  # a bool: pytest would spend minutes on telling two long arrays apart
    elif where == "step":
        for model in gpu_steps.MODELS:
            for optimiser in ("adam", "sgd"):
                gpu_steps.check_step(K, model, optimiser)
    elif where in {**gpu_steps.ACTIVATED, **gpu_steps.LIKELY, **gpu_steps.WEIGHED}:
        gpu_steps.check_step(K, where, "adam")
    elif where in OPTIMISERS:
        gpu_steps.check_step(K, "three layers, three draws", where)
    elif where == "tall step":  # several rows a warp
        model = ModelConfig(data_dim=9, latent_dim=3, hidden=(5, 7), draws=2)
        given = gpu_steps.problem(model, max_batch=2051, optimiser="sgd")
        makers = (
            K.make_step(*given),
            *(gpu_steps.reference(*given, t) for t in (np.float32, np.float64)),
        )
        mine, single, exact = (gpu_steps.run(step, n=1, batch=2051)[0][0] for step in makers)
        assert np.linalg.norm(mine - exact) <= 2 * np.linalg.norm(single - exact)
    elif where == "long walk":  # more numbers than a grid has threads: it walks on
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("minivae_kernels.gpu.launcher.MOST_BLOCKS", 2)
            dy, x = np.random.default_rng(1).normal(size=(2, 6147)).astype(np.float32)
            mine = K.tanh_backward(*map(K.to_device, (dy, x)))
        np.testing.assert_allclose(mine, ops.tanh_backward(dy, x), rtol=1e-5)
    elif where == "bad loss":
        plan, theta, moments, data = gpu_steps.problem(gpu_steps.MODELS["gaussian, given c"])
        step = K.make_step(plan, theta, moments, np.full_like(data, np.inf))
        step(*gpu_steps.schedule(1, 9))
        same = np.array_equal(step.state()[0], theta)
        assert same
    else:
        for shape in SHAPES:
            check_op(K, where, shape)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug[0]}: {bug[2]}"[:60])
def test_planted_bug_is_seen(built: None, tmp_path: Path, bug: tuple[str, ...]) -> None:
    file, right, wrong, where = bug
    folder = tmp_path / "cuda"
    shutil.copytree(sources.FOLDER, folder)
    text = (folder / file).read_text()
    assert right in text, f"{file} has changed: plant this one anew"
    (folder / file).write_text(text.replace(right, wrong, 1).replace("log_(", "logf("))
    device = HostDevice(files=sources.FILES, folder=folder)
    with pytest.raises(AssertionError):
        notice(Backend("cupy", gpu.table(device)), where)
        for order in (1, 77):  # a race shows in another order of threads
            device.order = order
            notice(Backend("cupy", gpu.table(device)), where)


def test_nothing_planted_nothing_seen(K: Backend) -> None:
    for where in sorted({bug[3] for bug in BUGS}):
        notice(K, where)
    assert (
        gpu_steps.run(K.make_step(*gpu_steps.problem(gpu_steps.MODELS["linear"])))[1]["updates"]
        == 3
    )

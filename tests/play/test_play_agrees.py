"""The page's training is NumPy's: the same first values, rows, noise and updates, in a browser.

Nothing is handed over but the settings. Both sides draw θ, the batches and ε from (seed, update)
alone, so a difference in any of them, or in one line of forward or backward, is a failure here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from minivae import play
from minivae.backend import load_backend
from minivae.data.digits import load_digits
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import elbo_backward, elbo_forward, layout_of
from minivae.ops.optimiser import adam_update
from minivae.ops.philox import EPS, GENERATE, normals, permutation
from tests.chromium import needs_chromium, open_page

pytestmark = needs_chromium
UPDATES = 100

# Each differs from the others in more than one thing; together they meet every branch.
RUNS = {
    "digits, Gaussian": {"data": "digits", "hidden": [64]},
    "digits, Bernoulli": {
        "data": "digits", "likelihood": "bernoulli", "hidden": [24, 24], "activation": "tanh",
        "beta": 0.3, "seed": 3,
    },
    "ring, four draws": {
        "data": "ring", "hidden": [16, 16], "activation": "tanh", "draws": 4, "batch": 50,
        "c": 0.02,
    },
    "moons without KL": {"data": "moons", "model": "no-kl", "hidden": [32], "seed": 11, "c": 0.3},
    "blobs, autoencoder": {"data": "blobs", "model": "ae", "hidden": [8, 8, 8], "batch": 64},
}  # fmt: skip
COMMON = {
    "model": "vae", "likelihood": "gaussian", "c": 0.05, "beta": 1.0, "lr": 3e-3,
    "activation": "relu", "draws": 1, "batch": 64, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play")
    file = folder / "page.html"
    file.write_text(play.page(), encoding="utf-8")
    with open_page(file, folder / "profile") as page:
        yield page


def in_numpy(run: dict) -> tuple[list[float], np.ndarray]:
    """Losses and θ of the same updates by the reference, in float64."""
    x = load_digits().values("train") if run["data"] == "digits" else play.TOYS[run["data"]]().x
    x = x.astype(np.float64)
    config = ModelConfig(
        x.shape[1], 2, tuple(run["hidden"]), run["activation"], run["likelihood"], run["c"],
        draws=run["draws"],
    )  # fmt: skip
    beta = run["beta"] if run["model"] == "vae" else 0.0
    K, layout, B = load_backend("numpy"), layout_of(config), run["batch"]
    theta = initialise(config, run["seed"], "float64")
    m, v, grad = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    p, losses = layout.views(theta), []
    per_epoch = math.ceil(len(x) / B)
    for t in range(UPDATES):
        order = permutation(run["seed"], t // per_epoch, len(x))
        rows = order[t % per_epoch * B : (t % per_epoch + 1) * B]
        eps = normals(run["seed"], EPS, t, rows, run["draws"] * 2).astype(np.float64)
        eps = eps.reshape(len(rows), run["draws"], 2).transpose(1, 0, 2)
        eps = eps * (run["model"] != "ae")
        loss, cache = elbo_forward(K, p, x[rows], eps, beta, config)
        layout.flatten(elbo_backward(K, np.ones_like(loss), cache, p, config), grad)
        adam_update(theta, grad, m, v, run["lr"], 0.9, 0.999, 1e-8, t + 1)
        losses.append(float(loss))
    return losses, theta


def in_browser(page, run: dict) -> tuple[list[float], np.ndarray]:
    found = page.run(
        f"""(() => {{
        const run = {json.dumps(run)};
        const training = new Training(dataOf(run.data), run);
        const losses = Array.from({{ length: {UPDATES} }}, () => training.update().loss);
        return [losses, Array.from(training.theta)];
        }})()"""
    )
    return found[0], np.array(found[1])


@pytest.mark.parametrize("name", RUNS)
def test_a_hundred_updates_agree_with_numpy(opened, name):
    run = COMMON | RUNS[name]
    losses, theta = in_numpy(run)
    there_losses, there = in_browser(opened, run)
    assert np.max(np.abs(np.array(there_losses) - losses) / np.abs(losses)) <= 1e-9
    assert np.linalg.norm(there - theta) <= 1e-9 * np.linalg.norm(theta)
    assert opened.errors == []


def test_a_wrong_line_is_seen(opened):
    """The comparison bites: a factor in one gradient, one bug at a time, is far outside."""
    run = COMMON | RUNS["digits, Gaussian"]
    _, theta = in_numpy(run)
    wrong = opened.run(
        f"""(() => {{
        const K = {{ ...OPS, klBackward: (d, mu, l) => OPS.klBackward(d, mu, l).map((g, i) =>
          i ? g.fill((k) => g.data[k] * (1 + 1e-6)) : g) }};
        const training = new Training(dataOf("digits"), {json.dumps(run)}, K);
        for (let t = 0; t < {UPDATES}; t++) training.update();
        return Array.from(training.theta);
        }})()"""
    )
    assert not (np.linalg.norm(np.array(wrong) - theta) <= 1e-9 * np.linalg.norm(theta))


def test_the_noise_is_the_same_bits(opened):
    rows = np.arange(500) * 7919 % 2**31
    seed = 2**40 + 12345
    here = normals(seed, GENERATE, 99, rows, 5).astype(np.float64).ravel()
    there = opened.run(f"Array.from(normals({seed}, STREAM.GENERATE, 99, {rows.tolist()}, 5))")
    assert np.array_equal(here, there)


def test_the_order_of_the_data_is_the_same(opened):
    assert opened.run("permutation(5, 3, 1500)") == permutation(5, 3, 1500).tolist()


def test_toys_are_what_they_say():
    ring, moons, blobs = (make() for make in play.TOYS.values())
    radius = np.hypot(*ring.x.T)
    assert abs(radius.mean() - 1) <= 0.01 and 0.05 <= radius.std() <= 0.07
    assert set(moons.labels) == {0, 1} and np.abs(moons.x.mean(axis=0)).max() <= 0.05
    spread = [blobs.x[blobs.labels == k].std(axis=0).max() for k in range(9)]
    assert max(spread) <= 0.14 and set(blobs.labels) == set(range(9))


def test_the_page_is_one_file_without_an_address(tmp_path: Path):
    text = play.page()
    assert "http" not in text.replace("http-equiv", "").replace(
        "http://www.w3.org/2000/svg", ""
    )  # a name, not an address that anything asks for
    assert len(text) < 400_000

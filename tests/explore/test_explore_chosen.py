"""What a panel of the explorer says of a datum: its terms are NumPy's, its picture its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from minivae import explore
from minivae.backend import load_backend
from minivae.data.standard import Standard
from minivae.explore.panels import vae_panel
from minivae.models.config import ModelConfig
from minivae.models.vae import elbo_forward, encode
from tests.chromium import needs_chromium
from tests.explore.conftest import CONFIGS, DATA, explored, opened


@needs_chromium
@pytest.mark.parametrize("which", [0, 1], ids=["bernoulli", "gaussian"])
def test_the_terms_of_a_chosen_datum_are_numpys(page, which):
    """z where the pointer is, the other dimensions at the datum's mean: ε, KL and the loss."""
    config, dims = CONFIGS[which]
    x = DATA.astype(np.float64)
    model = explored(config, DATA, dims)
    i, at = 5, [0.4, -0.2]
    z = model.mu[i].astype(np.float64)
    z[list(dims)] = at
    eps = (z - model.mu[i]) / model.sd[i]
    K = load_backend("numpy")
    p = {name: t.astype(np.float64) for name, t in model.parameters.items()}
    loss, cache = elbo_forward(K, p, x[i : i + 1], eps[None, None], 0.7, config)
    kl, nll, noise = page.run(
        f"""(() => {{
        choose({i});
        const panel = panels[{which}];
        panel.at = {at};
        panel.draw();
        const said = Object.fromEntries(panel.terms({i}, panel.full(panel.at)));
        return [said.KL, said["−log p(x | z)"], said["ε = (z − μ)/σ"]];
        }})()"""
    )
    assert abs(float(kl.split()[0]) - cache.kl.sum()) <= 1e-3
    assert abs(float(nll.split()[0]) - cache.nll.sum()) <= 1e-3
    assert abs(loss - float(nll.split()[0]) - 0.7 * float(kl.split()[0])) <= 2e-3
    assert noise == f"({', '.join(f'{eps[d]:.2f}' for d in dims)})"


@needs_chromium
def test_a_click_chooses_and_escape_lets_go(page):
    page.run("scrollTo(0, 0)")
    page.run("panels[0].choose(null)")
    box = "document.querySelector('.plane').getBoundingClientRect()"
    x, y = page.run(
        f"(() => {{ const b = {box}; const [x, y] = panels[0].plane.toCanvas("
        "panels[0].plane.inPlane(panels[0].plane.mu, 3)); "
        "return [b.left + x * b.width / 920, b.top + y * b.height / 920]; })()"
    )
    page.touch(x, y)
    chosen = page.run("panels.map((panel) => panel.chosen)")
    assert chosen[0] == chosen[1] is not None
    page.run("document.querySelector('.plane').focus()")
    page.key("Escape")
    assert page.run("panels.map((panel) => panel.chosen)") == [None, None]
    assert page.errors == []


@needs_chromium
def test_a_chosen_datum_s_draw_leads_towards_the_middle_of_the_plane(page):
    farther = page.run(
        """panels.flatMap((panel) => [...Array(29).keys()].filter((i) => {
          const { low, high } = panel.model;
          const mu = panel.plane.inPlane(panel.plane.mu, i);
          const z = panel.drawn(i, panel.inwards(i, [0.8, 0.6]));
          return [0, 1].some((d) => (z[d] - mu[d]) * (low[d] + high[d] - 2 * mu[d]) < 0);
        }))"""
    )
    assert farther == []


@needs_chromium
def test_the_loss_of_standardised_data_is_in_the_users_units(tmp_path):
    """The page holds c of standardised columns and all else unstandardised: NumPy does not."""
    config, dims = ModelConfig(35, 2, (9,), likelihood="gaussian", c=0.3), (0, 1)
    x = (DATA * np.linspace(0.01, 200, 35) + 5).astype(np.float32)
    standard = Standard.of(x)
    K, p = load_backend("numpy"), explored(config, DATA).parameters
    model = vae_panel(K, p, config, standard, x, dims, "standardised")
    text = explore.page("t", [model], x, (7, 5), rows=np.arange(29))
    i, at = 5, np.array([0.4, -0.2])
    exact = {name: t.astype(np.float64) for name, t in p.items()}
    y = standard.apply(x[i : i + 1].astype(np.float64))
    mu, logvar = encode(K, exact, y, config)
    eps = (at - mu[0]) / np.exp(logvar[0] / 2)
    loss, cache = elbo_forward(K, exact, y, eps[None, None], config.beta, config)
    with opened(tmp_path, text) as page:
        said = page.run(
            f"""(() => {{
            choose({i});
            panels[0].at = {at.tolist()};
            return Object.fromEntries(panels[0].terms({i}, panels[0].full(panels[0].at)));
            }})()"""
        )
        assert page.errors == []
    nll = cache.nll.sum() + standard.log_volume
    assert abs(nll - cache.nll.sum()) > 10
    assert abs(float(said["−log p(x | z)"].split()[0]) - nll) <= 2e-3
    assert abs(float(said["loss"].split()[-1]) - loss - standard.log_volume) <= 2e-3


def told(page, i, which=0) -> dict[str, object]:
    """What panel `which` shows of datum i (None: of none) at a place of the plane."""
    return page.run(
        f"""(() => {{
        choose({json.dumps(i)});
        const panel = panels[{which}];
        panel.path = [[0, 0], [1, 1]];
        panel.draw();
        panel.drawStrip();
        return {{
          caption: panel.whose.textContent,
          size: [panel.original.width, panel.original.height],
          names: [...panel.readout.querySelectorAll("dt")].map((e) => e.textContent),
          strip: [...new Set([...panel.strip.children].map((e) => e.className))],
          lines: [...new Set([...panel.strip.children]
            .map((e) => getComputedStyle(e).borderBottomColor))],
        }}; }})()"""
    )


@needs_chromium
def test_a_datum_whose_picture_the_page_does_not_carry_has_none(tmp_path, monkeypatch):
    """It had been shown under the picture of the datum before it."""
    monkeypatch.setattr(explore, "ORIGINALS_BYTES", 10 * 4 * 35)
    labels, names = np.arange(29) % 2, ("cat", "dog")
    models = [explored(ModelConfig(35, 2, (9,)), DATA)]
    text = explore.page(
        "t", models, DATA, (7, 5), rows=np.arange(29) * 3, labels=labels, names=names
    )
    with opened(tmp_path, text) as page:
        inside, outside = told(page, 9), told(page, 10)
        assert page.errors == []
    assert inside["caption"] == "chosen, x: row 27, label dog" and inside["size"] == [5, 7]
    assert outside["size"] == [1, 1]
    assert outside["caption"] == "chosen, x: row 30, label cat (its picture is not in the page)"


@needs_chromium
def test_labels_below_0_have_colours_of_their_own(tmp_path):
    models = [explored(ModelConfig(35, 2, (9,)), DATA)]
    labels = np.where(np.arange(29) % 2, 1, -1)
    text = explore.page("t", models, DATA, (7, 5), rows=np.arange(29), labels=labels)
    with opened(tmp_path, text) as page:
        minus, plus = page.run("[-1, 1].map(labelColour)")
        drawn = page.run(
            "[...document.querySelectorAll('#legend span')].map((e) => e.style.background)"
        )
        assert page.errors == []
    assert minus and plus and minus != plus
    assert len(set(drawn)) == 2 and "" not in drawn


@needs_chromium
@pytest.mark.parametrize("which", [0, 1], ids=["J = 2", "J = 3"])
def test_near_the_data_is_said_only_of_the_codes_that_were_judged(page, which):
    """The shading's other dimensions are 0, those of a chosen datum's codes at its mean."""
    free, chosen = told(page, None, which), told(page, 4, which)
    assert "here" in free["names"] and set(free["strip"]) <= {"on", "off"}
    assert ("here" in chosen["names"]) == (which == 0)
    if which == 0:
        assert chosen["strip"] == free["strip"]
    else:
        assert chosen["strip"] == [""] and chosen["lines"] == ["rgba(0, 0, 0, 0)"]

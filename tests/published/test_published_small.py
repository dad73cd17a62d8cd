"""Every published result in its small version: bands reached, claims true, files kept."""

from __future__ import annotations

import json

import pytest

from minivae.cli.main import run
from minivae.published import EXPERIMENTS
from minivae.published.kept import findings_of, read_result

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("swift_disk")]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_small_version_reaches_its_bands(name, tmp_path, capsys):
    pytest.importorskip("numba")  # whose bits are the same everywhere
    out = tmp_path / name
    words = ["reproduce", name, "--small", "--backend", "numba", "--threads", "1", "--json"]
    assert run([*words, "--out", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["part"]["complete"]
    kept = read_result(out / "result.json", EXPERIMENTS[name])
    told = {key: value for key, value in printed.items() if key != "files"}
    assert {key: value for key, value in kept.items() if key != "sha256"} == told
    outcome = findings_of(kept)
    judged = [figure for figure in outcome.figures if figure.reached is not None]
    assert judged and all(figure.reached for figure in judged)
    assert outcome.claims and all(claim.holds is True for claim in outcome.claims)
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")

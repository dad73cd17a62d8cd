"""The experiments themselves: each is listed, and its runs are what a command line can ask for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from minivae.cli.defaults import defaults_for
from minivae.cli.main import run
from minivae.cli.sweep_runs import parse
from minivae.cli.train_options import TrainOptions
from minivae.published import EXPERIMENTS, pytorch_example, results
from minivae.published.findings import Figure, Findings


def test_the_list_names_every_experiment_its_cost_and_its_paper(capsys):
    assert run(["reproduce"]) == 0
    text = capsys.readouterr().out
    for each in EXPERIMENTS.values():
        assert each.name in text and each.full.cost in text and each.paper.says in text


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_names_of_runs_are_their_own_and_their_settings_can_be(name):
    for protocol in (EXPERIMENTS[name].full, EXPERIMENTS[name].small):
        names = [r.name for r in protocol.runs]
        assert len(set(names)) == len(names) and not any("/" in n for n in names)
        for each in protocol.runs:
            each.configs(784)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_kept_command_of_a_run_is_a_train_command_of_the_same_settings(name):
    for each in (*EXPERIMENTS[name].full.runs, *EXPERIMENTS[name].small.runs):
        words = [
            str(word) for pair in results.stated(each).items() for word in results.option_of(*pair)
        ]
        asked = TrainOptions.of(parse(["train", each.dataset, *words])).settings
        settled = defaults_for(each.dataset) | asked
        assert each._replace(settings=settled).configs(784) == each.configs(784)


OF_THE_FULL = ("784-", "10^7", "60,000", "1000 test", "first 500", "three random", "some 200 nats",
               "Frey", "mnist: rates")  # fmt: skip


def test_small_versions_differ_by_nothing_that_only_the_full_ones_do():
    texts = {
        size: "\n".join(
            text
            for each in EXPERIMENTS.values()
            for text in each.protocol(small=size == "small").differs
        )
        for size in ("full", "small")
    }
    for words in OF_THE_FULL:
        assert words in texts["full"] and words not in texts["small"]
    for each in EXPERIMENTS.values():
        shared = [text for text in each.full.differs if "rates by" not in text]
        assert any(text in each.small.differs for text in shared)


@pytest.mark.parametrize("by", ["paper", "before"])
def test_only_a_band_that_is_there_is_told_in_the_caption(by, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(
        pytorch_example, "save", lambda figure, path, caption, title: told.append(caption)
    )
    source = pytorch_example.SOURCE if by == "paper" else "digits"
    figure = Figure("test loss", 25.0, 25.0, 0.5, source=source, by=by)
    pytorch_example.draw(
        tmp_path / "x.png", Findings((figure,), (), {"glorot,seed=0": [26.0, 25.0]})
    )
    assert ["shaded" in caption for caption in told] == [by == "paper"]


def test_unfinished_runs_of_the_pytorch_example_are_told_without_a_band():
    def run(losses, complete):
        return SimpleNamespace(complete=complete, curve=lambda part, key: losses)

    runs = {"fan-in,seed=0": run([3.0, 2.0], False), "fan-in,seed=1": run([5.0], False)}
    begun, missing = pytorch_example.measure(SimpleNamespace(runs=runs), 2.0, 9.0, "s").figures
    assert (begun.ours, begun.band, begun.reached) == (4.0, None, None)
    assert begun.what.endswith("at epoch 1") and missing.ours is None
    assert "not known yet" in results.figure_line(missing)
    runs |= {"fan-in,seed=1": run([5.0, 3.0], True), "glorot,seed=0": run([4.0, 3.5], True)}
    found = pytorch_example.measure(SimpleNamespace(runs=runs), 2.0, 9.0, "s")
    assert [figure.ours for figure in found.figures] == [3.0, 3.5]
    assert all(figure.reached for figure in found.figures) and len(found.claims) == 1

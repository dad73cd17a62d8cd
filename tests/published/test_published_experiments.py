"""The experiments themselves: each is listed, and its runs are what a command line can ask for."""

from __future__ import annotations

import pytest

from minivae.cli.defaults import defaults_for
from minivae.cli.main import run
from minivae.cli.sweep_runs import parse
from minivae.cli.train_options import TrainOptions
from minivae.published import EXPERIMENTS, results


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

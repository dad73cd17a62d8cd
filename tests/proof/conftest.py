"""The scoreboard of planted bugs, drawn up once for all who look at it."""

import pytest

from minivae.proof import mutation_score


@pytest.fixture(scope="session")
def board():
    return mutation_score.score()

"""Right passes: no fault may come out of any of them."""

import pytest

from minivae.verify import check
from tests.verify.zoo_right import CASES


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_said_of_a_right_pass(name):
    forward, backward, inputs = CASES[name]
    report = check(forward, backward, inputs, name=name)
    report.raise_if_failed()
    assert report.ok and report.rows


def test_there_are_enough_right_passes():
    assert len(CASES) >= 40

"""Wrong passes: the tensor, the kind and (where one entry is wrong) the entry must come out."""

import pytest

from minivae.verify import GradientError, check
from tests.verify.zoo_wrong import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_pass_is_named(name):
    forward, backward, inputs, tensor, kinds, index = CASES[name]
    report = check(forward, backward, inputs, name=name)
    assert not report.ok
    with pytest.raises(GradientError):
        report.raise_if_failed()
    fault = report.faults[0]
    assert fault.tensor == tensor and fault.kind in kinds, [str(f) for f in report.faults]
    assert all("\n" not in fault.message for fault in report.faults)
    if index is not None:
        assert fault.index == index, fault
    at_fault = {f.tensor for f in report.faults if f.true is not None}
    assert all(row.ok == (row.tensor not in at_fault) for row in report.rows if row.checked)


def test_there_are_enough_wrong_passes():
    assert len(CASES) >= 60


def test_the_sample_is_named():
    report = check(*CASES["one_sample_weighs_thrice"][:3])
    assert report.faults[0].sample == 2 and "sample 2 alone" in report.faults[0].message
    report = check(*CASES["one_entry_x"][:3])
    assert report.faults[0].sample == 3 and report.faults[0].tensor == "x"

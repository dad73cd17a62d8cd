"""No kernel that cheats is timed, whatever its way; kernels that are right, however odd, are."""

from __future__ import annotations

import pytest

from benchmarks import cheat_kernels, selftest
from minivae.racing.conversation import LONGEST
from minivae.racing.load import cores
from minivae.racing.statistics import StopRule

SHORT = StopRule(least=3, most=3, seconds=60.0)
HERE = [name for name in selftest.kernels() if not selftest.is_alone(name)]
CHEATS = [name for name in HERE if not selftest.is_honest(name)]
APART = [name for name in selftest.kernels() if selftest.is_alone(name)]
ENDING = [name for name in APART if not selftest.is_honest(name)]
#: of those in the other files, what one process can take without harm
TAME = ("only_when_poisoned", "only_after_a_pause", "mends_what_changed",
        "honest_one_in_four", "finishes_later",
        "two_buffers", "writes_behind", "raises_anything", "talks_at_length", "in_parts",
        "other_bytes", "list", "all_memory")  # fmt: skip


def full_size(name: str) -> tuple[int, ...]:
    return selftest.SHAPES[selftest.op_of(name)][-1]


def test_there_are_many_ways_to_cheat() -> None:
    assert len(CHEATS) + len(ENDING) >= 75


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_refused(name: str) -> None:
    row = selftest.tried(name, full_size(name), SHORT)
    assert row.get("failed") and "us" not in row, row


@pytest.mark.parametrize("name", [f"sigmoid_forward_{way}" for way in TAME])
def test_a_meddler_is_refused_even_in_this_process(name: str) -> None:
    row = selftest.tried(name, full_size(name), SHORT)
    assert row.get("failed") and "us" not in row, row
    assert len(row["failed"]) <= LONGEST and "\n" not in row["failed"]


@pytest.mark.parametrize("name", [n for n in HERE if n in cheat_kernels.HONEST])
@pytest.mark.parametrize("size", [0, -1])
def test_a_right_kernel_is_timed(name: str, size: int) -> None:
    row = selftest.tried(name, selftest.SHAPES[selftest.op_of(name)][size], SHORT)
    assert "failed" not in row and row["us"]["hot"]["p50"] > 0 and row["error"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", APART)
def test_what_meddles_or_ends_the_interpreter_costs_its_own_row(name: str) -> None:
    if len(cores()) < 2 and name.endswith(("spreads", "has_a_helper")):
        pytest.skip("needs a second core to spread to")
    limit = 6.0 if name.endswith(("hangs", "half_a_line")) else 20.0
    row = selftest.tried_alone(name, full_size(name), limit, SHORT)
    assert bool(row.get("failed")) == (name in ENDING) and "harm" not in row, row
    assert "\n" not in row.get("failed", "")


def test_a_crash_costs_its_own_row() -> None:
    row = selftest.tried_alone("sigmoid_forward_crashes", (16, 5), limit=60.0)
    assert "crashed the interpreter" in row["failed"] and "SIGSEGV" in row["failed"]


def test_the_selftest_itself_bites() -> None:
    """It speaks up if a cheat is let through, or an honest kernel is not."""
    shape = full_size("sigmoid_forward_plain")
    cheat = {"kernel": "sigmoid_forward_lazy_when_large", "shape": shape, "honest": False}
    plain = {"kernel": "sigmoid_forward_plain", "shape": shape, "honest": True}
    rows = [{**cheat, "why": ""}, {**plain, "why": "wrong"}]
    assert ["let through" in line or "refused" in line for line in selftest.wrong(rows)] == [1, 1]
    rows[0]["why"], rows[1]["why"] = "it is wrong", ""
    assert selftest.wrong(rows) == []


@pytest.mark.parametrize(("fixed", "least"), [(True, 0.945), (False, selftest.LEAST_STOPPED)])
def test_intervals_hold_what_they_say(fixed: bool, least: float) -> None:
    for shape, share in selftest.covered(trials=1500, fixed=fixed).items():
        assert least <= share <= 0.99, shape

"""Every rung of every ladder is the op it says it is, and every rung states its idea."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from minivae_kernels.ladder import NAMES, Ladder, Version, load

from benchmarks import ladders
from minivae.racing.gate import GateError

RUNGS = [(name, k) for name in NAMES for k in range(len(load(name).versions))]


@pytest.mark.parametrize(("name", "k"), RUNGS, ids=lambda v: str(v))
@pytest.mark.parametrize("rows", [1, 7])
def test_a_rung_agrees_with_the_float64_reference(name: str, k: int, rows: int) -> None:
    ladder = load(name)
    version = ladder.versions[k]
    assert ladders.gate(ladder, version, seed=rows, rows=rows) <= version.rough


@pytest.mark.parametrize("name", NAMES)
def test_rungs_are_numbered_from_the_naive_loop_and_state_one_idea_each(name: str) -> None:
    versions = load(name).versions
    assert len(versions) >= 4 and versions[0].part > 1 and "Python loop" in versions[0].idea
    assert [v.call.__name__ for v in versions] == [f"{name}_v{k}" for k in range(len(versions))]
    assert len({v.idea for v in versions}) == len(versions)
    assert versions[-1].idea.startswith("chosen: ")


def test_an_unknown_ladder_is_named() -> None:
    with pytest.raises(ValueError, match="unknown ladder 'adamw'"):
        load("adamw")


def tiny() -> Ladder:
    return Ladder("tanh_forward", "element", 9,
                  lambda rng, rows: (rng.standard_normal(rows, dtype=np.float32),),
                  lambda args: args[0].size)  # fmt: skip


def test_a_rung_out_of_order_or_without_an_idea_is_refused() -> None:
    ladder = tiny()

    def wrong_v3(x):  # type: ignore[no-untyped-def]
        """an idea"""

    def silent_v0(x):  # type: ignore[no-untyped-def]
        return x

    with pytest.raises(ValueError, match=r"call it …_v0"):
        ladder.version()(wrong_v3)
    with pytest.raises(ValueError, match="needs a docstring"):
        ladder.version()(silent_v0)


SHARED = np.zeros(5, np.float32)
KEPT: list[np.ndarray] = []


def reuses_its_buffer(x: np.ndarray) -> np.ndarray:
    return np.tanh(x, out=SHARED)


def keeps_its_first_answer(x: np.ndarray) -> np.ndarray:
    KEPT.append(np.tanh(x))
    return KEPT[0]


def leaves_the_last_unwritten(x: np.ndarray) -> np.ndarray:
    y = np.tanh(x)
    y[-1] = np.nan
    return y


@pytest.mark.parametrize(
    "cheat", [reuses_its_buffer, keeps_its_first_answer, leaves_the_last_unwritten, np.zeros_like]
)
def test_a_cheating_rung_is_thrown_out(cheat) -> None:  # type: ignore[no-untyped-def]
    version = Version(0, cheat, "cheats", 1, lambda *a: a, lambda r, a: r)
    if not hasattr(cheat, "__name__"):
        cheat.__name__ = "cheat"
    with pytest.raises(GateError):
        ladders.gate(tiny(), version, seed=1)
    honest = Version(0, np.tanh, "honest", 1, lambda *a: a, lambda r, a: r)
    assert ladders.gate(tiny(), honest, seed=1) <= 1

"""The harness rejects kernels that cheat: stale, idle, partial, NaN, and peers that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import gate, step, step_text
from benchmarks.cases import make_rows, make_theta, parse_arch
from benchmarks.contenders.cheats import CHEATS, Cheat
from minivae import ops
from minivae.backend import load_backend
from minivae.models.vae import elbo_backward, elbo_forward
from minivae.params import Entry, Layout
from minivae.racing.statistics import StopRule

CASE = parse_arch("31-13-11-5:tanh", 7)
STEPS = 12
BEYOND = ("honest", "crash", "after-the-first")  # what one block and two gates cannot tell


def prepared(option: str) -> Cheat:
    cheat = Cheat(option)
    cheat.prepare(CASE, gate.shared_data(CASE.data_dim), make_theta(CASE))
    return cheat


def judge(cheat: Cheat) -> dict[str, float]:
    """What the parent does with a worker, without the processes: block, reset, gate twice."""
    want = gate.reference_block_loss(CASE, STEPS)
    errors = gate.check_block(cheat.run(make_rows(CASE, 0, STEPS)), want, cheat.exact_noise)
    cheat.reset(make_theta(CASE))
    for number in (501, 502):
        given = gate.peer_inputs(CASE, number)
        if cheat.exact_noise:
            found = cheat.gradient_of(given["theta"], make_rows(CASE, number, 1))
            errors |= gate.check_updates(CASE, cheat.check(make_rows(CASE, number, steps=2)))
        else:
            found = cheat.loss_and_grad(given["theta"], given["x"], given["eps"])
        errors |= gate.check_gradient(CASE, given, *found)
    return errors


def test_an_honest_step_passes_every_gate() -> None:
    errors = judge(prepared("honest"))
    updates = {"loss", "first moment", "second moment", "theta"}
    assert set(errors) == {"block loss", "gradient", *updates}
    assert errors["loss"] < 1e-6


@pytest.mark.parametrize("option", [c for c in CHEATS if c not in BEYOND])
def test_every_cheat_is_thrown_out(option: str) -> None:
    with pytest.raises(gate.GateError):
        judge(prepared(option))


@pytest.mark.slow
def test_the_whole_race_labels_a_cheat_and_a_crash_and_times_the_honest(tmp_path: Path) -> None:
    options = step.StepOptions(
        backend="numpy",
        peers=(),
        rule=StopRule(least=3, most=3, seconds=60),
        say=lambda text: None,
        block_steps=250,  # so that the loss falls beyond what noise does
        extra_contenders=(
            "cheat:stale",
            "cheat:broken-peer",
            "cheat:crash",
            "cheat:after-the-first",
        ),
    )
    data = tmp_path / "data.npy"
    np.save(data, gate.shared_data(CASE.data_dim))
    rows = {r["contender"]: r for r in step.StepRace(CASE, options, data, tmp_path).run()}
    ours = rows["minivae-numpy"]
    assert ours["n"] == 3 and ours["gate_after"]["loss"] < 1e-5
    assert ours["ms"]["p20"] <= ours["ms"]["p50"] <= ours["ms"]["p80"] <= ours["ms"]["p99"]
    assert ours["flops"] == CASE.flops() and ours["peak_share"] > 0
    assert "GateError" in rows["cheat:stale"]["failed"]
    assert "gradient of" in rows["cheat:broken-peer"]["failed"]
    assert "this contender crashes" in rows["cheat:crash"]["failed"]
    assert "does not train in the timed blocks" in rows["cheat:after-the-first"]["failed"]
    assert "FAILED" in step_text.table(list(rows.values()))


def test_who_does_not_train_in_the_timed_blocks_is_out() -> None:
    honest = {"ours": (500.0, 300.0), "peer": (480.0, 310.0)}
    assert gate.idle(honest) == {} == gate.idle({})
    (out,) = gate.idle({**honest, "idle": (500.0, 499.0), "half": (500.0, 390.0)})
    assert out == "idle"
    assert list(gate.idle({**honest, "idle": (500.0, np.nan)})) == ["idle"]
    early = {"ours": (500.0, 470.0), "peer": (470.0, 465.0)}  # noise may do as much
    assert gate.idle(early) == {}
    below_nought = {"ours": (-10.0, -90.0), "idle": (-10.0, -11.0)}
    assert list(gate.idle(below_nought)) == ["idle"]


def test_nan_fails_even_in_one_entry() -> None:
    want = np.arange(1.0, 30.0)
    for bad in (np.nan, np.inf, 31.0):
        got = want.copy()
        got[17] = bad
        with pytest.raises(gate.GateError, match=r"thing\[17\]"):
            gate.worst("thing", got, want, 1e-2)
    with pytest.raises(gate.GateError, match="shape"):
        gate.worst("thing", want[:-1], want, 1.0)


def test_a_small_tensor_cannot_hide_behind_a_large_one() -> None:
    rng = np.random.default_rng(5)
    want = rng.standard_normal(sum(int(np.prod(s)) for _, _, s in CASE.parameters()))
    name, offset, shape = next(e for e in CASE.parameters() if e[0] == "encoder.mu.b")
    want[offset : offset + shape[0]] *= 1e-6
    got = want.copy()
    got[offset] *= 1.5
    assert gate.worst("flat", got, want, 1e-5) < 1e-5
    with pytest.raises(gate.GateError, match=name):
        gate.by_tensor(CASE, got, want, "gradient of", 1e-4, np.zeros_like(want))


@pytest.mark.parametrize(("above", "passes"), [(1e-9, True), (1e-2, False)])
def test_a_unit_on_its_kink_may_stand_on_either_side(above: float, passes: bool) -> None:
    """One unit of one datum, in the second layer, counted as off: right only where it is at 0."""
    case, unit = parse_arch("31-13-11-5:relu", 7), 4
    layout = Layout(tuple(Entry(*e) for e in case.parameters()))
    given = gate.peer_inputs(case, 503)
    given["theta"] = given["theta"].astype(np.float64)  # 1e-9 would be lost in float32
    p, K, config = layout.views(given["theta"]), load_backend("numpy"), case.model()
    x, eps = given["x"].astype(np.float64), given["eps"].astype(np.float64)[None]
    a = K.relu_forward(x @ p["encoder.0.W"] + p["encoder.0.b"]) @ p["encoder.1.W"]
    datum = int(np.argmax(a[:, unit]))
    p["encoder.1.b"][unit] = above - a[datum, unit]

    def off(dy: np.ndarray, a: np.ndarray) -> np.ndarray:
        dx = ops.relu_backward(dy, a)
        if a.shape == (7, 11) and abs(a[datum, unit] - above) < 1e-12:
            dx[datum, unit] = 0
        return dx

    K.relu_backward = off
    loss, cache = elbo_forward(K, p, x, eps, 1.0, config)
    grad = np.zeros(layout.size)
    layout.flatten(elbo_backward(K, np.ones_like(loss), cache, p, config), grad)
    if passes:
        assert gate.check_gradient(case, given, loss, grad)["gradient"] < 1e-6
    else:
        with pytest.raises(gate.GateError, match=r"gradient of encoder\.[01]"):
            gate.check_gradient(case, given, loss, grad)

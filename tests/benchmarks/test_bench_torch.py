"""The PyTorch peers: what the gate borrows is given back, and one form is not tried twice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.cases import make_theta, parse_arch

pytest.importorskip("torch", reason="PyTorch is not installed (extra `bench`)")

from benchmarks.contenders.torch_graph import TorchGraph
from benchmarks.contenders.torch_step import TorchStep

CASE = parse_arch("31-17-5:relu", 11)


def test_the_timed_parameters_are_put_back() -> None:
    peer = TorchStep(threads=1)
    peer.prepare(CASE, gate.shared_data(CASE.data_dim), make_theta(CASE))
    before = [p.detach().clone() for p in peer.model.parameters()]
    given = gate.peer_inputs(CASE, 3)
    gate.check_gradient(CASE, given, *peer.loss_and_grad(**given))
    for parameter, kept in zip(peer.model.parameters(), before, strict=True):
        assert (parameter == kept).all()


def test_a_captured_graph_has_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = TorchGraph(threads=1)
    monkeypatch.setattr(peer, "make", lambda: pytest.fail("it was built again"))
    assert "CUDA graph" in peer.tune(np.zeros((2, 11), np.int64))

"""Is anything on the card done out of order? The stand-in's race detector (fake_order.py) says.

Shown: every operation that the step, the ops and the trainer queue comes after what it needs, by
CUDA's rules for streams, events and memory pools, with either default stream. NOT shown: anything
inside a kernel, and that the card keeps its own rules.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.cupy_device import CupyDevice

from minivae.backend import Backend

sys.path.insert(0, str(Path(__file__).parent))
from fake_cupy import CaptureError, FakeCupy, RaceError
from fake_streams import Stream
from gpu_steps import MODELS, problem, run, schedule
from gpu_streams import all_done, stream

pytestmark = pytest.mark.parametrize("per_thread", [False, True], ids=["legacy", "per thread"])


def test_what_is_sent_may_change_at_once(C: Backend) -> None:
    """Neither data nor rows and schedules need live on in the caller's memory."""
    plan, theta, moments, data = problem(MODELS["linear"])
    expected = run(C.make_step(plan, theta, moments, data))[0][0]
    given = [np.array(a) for a in (theta, moments, data)]
    step = C.make_step(plan, *given)
    for a in given:
        a[...] = 7
    rows, t, lr, beta = schedule(3, 9)
    step(rows, t, lr, beta)
    for a in (rows, lr, beta):
        a[...] = 0
    x = np.ones((3, 4), np.float32)
    there = C.to_device(x)
    x[...] = 5
    assert step.state()[0].tobytes() == expected.tobytes()
    assert (C.to_host(there) == 1).all()


def test_the_steps_branches_wait_for_each_other(
    C: Backend, cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each of an update's waits left out in turn, the detector objects: none is idle."""
    monkeypatch.setattr("minivae_kernels.gpu.step.UPDATES_HELD", 1)
    given = problem(MODELS["three layers, three draws"])
    wait, asked = CupyDevice.wait, [0]

    def wait_but(missing: int, each: int) -> None:
        def forgetful(device: CupyDevice, done: Any) -> None:
            asked[0] += done is not None
            if done is not None and (asked[0] - 1) % each != missing:
                wait(device, done)

        monkeypatch.setattr(CupyDevice, "wait", forgetful)

    wait_but(-1, 1)
    run(C.make_step(*given))
    each = asked[0] // 2  # two graphs, of one update each
    assert each >= 2
    for missing in range(each):
        asked[0] = 0
        wait_but(missing, each)
        with pytest.raises((RaceError, CaptureError)):
            run(C.make_step(*given))
        all_done(cupy)


def test_a_branch_that_begins_too_early(
    C: Backend, cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each branch must come after what was queued before it."""
    waiting, told, device = Stream.wait_event, list[Any](), C.to_device.__self__

    def forgetful(stream: Stream, event: Any) -> None:
        branching = stream.recording is not None and event.captured is stream.recording
        if branching and stream is device.side and told:
            return
        told.append(stream)
        waiting(stream, event)

    monkeypatch.setattr(Stream, "wait_event", forgetful)
    with pytest.raises(RaceError):
        run(C.make_step(*problem(MODELS["three layers, three draws"])))
    all_done(cupy)


def test_ops_beside_a_step_that_is_still_running(C: Backend) -> None:
    """Both multiply by the one cuBLAS handle, with its one workspace."""
    a = C.to_device(np.ones((4, 5), np.float32))
    W, b = C.to_device(np.ones((5, 3), np.float32)), C.to_device(np.zeros(3, np.float32))
    step = C.make_step(*problem(MODELS["relu bernoulli"]))
    for _ in range(2):
        step(*schedule(2, 9))
        y = C.dense_relu_forward(a, W, b)
    assert (C.to_host(y) == 5).all()
    assert step.bad_step == -1


def test_a_replay_after_a_product_on_another_stream(C: Backend, cupy: FakeCupy) -> None:
    """The graph has been recorded before, so nothing but its replay can wait for the workspace."""
    a = C.to_device(np.ones((4, 5), np.float32))
    step = C.make_step(*problem(MODELS["relu bernoulli"]))
    step(*schedule(2, 9))
    cupy.default.synchronize()
    with stream(cupy) as other:
        y = C.dense_backward_input(a, a)
    step(*schedule(2, 9))
    assert step.bad_step == -1
    other.synchronize()
    assert (y.get() == 5).all()
    del y


def test_data_that_are_on_the_card_already(C: Backend) -> None:
    """The step reads the caller's own array, which the default stream has just made."""
    plan, theta, moments, data = problem(MODELS["gaussian, learned c"])
    there = C.to_device(data / 2) * 2
    (state, _), host = run(C.make_step(plan, theta, moments, there)), None
    host, _ = run(C.make_step(plan, theta, moments, data))
    assert state[0].tobytes() == host[0].tobytes()


@pytest.mark.parametrize("view", ["off the grid", "with gaps"])
def test_data_that_are_a_view_on_the_card(C: Backend, view: str) -> None:
    """Read by fours, an address off the 16-byte grid would end the program on a card."""
    plan, theta, moments, data = problem(MODELS["gaussian, learned c"])
    if view == "off the grid":
        there = C.to_device(np.append(data.flat[0], data))[1:].reshape(data.shape)
        assert there.data.ptr % 16
    else:
        there = C.to_device(np.repeat(data, 2, axis=1))[:, ::2]
    step = C.make_step(plan, theta, moments, there)
    assert step.buffers.data.data.ptr % 16 == 0 and step.buffers.data.flags.c_contiguous
    mine, theirs = (run(s)[0][0] for s in (step, C.make_step(plan, theta, moments, data)))
    assert mine.tobytes() == theirs.tobytes()


def test_parameters_that_are_on_the_card_already(C: Backend) -> None:
    """The step works on a copy: the caller's own stay as they are."""
    plan, theta, moments, data = problem(MODELS["linear"])
    mine, m = C.to_device(theta), C.to_device(moments)
    state, _ = run(C.make_step(plan, mine, m, data))
    assert C.to_host(mine).tobytes() == theta.tobytes() != state[0].tobytes()
    assert C.to_host(m).tobytes() == moments.tobytes()


def test_a_step_asked_from_another_stream(C: Backend, cupy: FakeCupy) -> None:
    """Its figures are read where it works, whatever stream the caller is on by now."""
    step = C.make_step(*problem(MODELS["linear"]))
    with stream(cupy):
        step(*schedule(2, 9))
    assert step.bad_step == -1 and step.metrics()["updates"] == 2
    with stream(cupy):
        step(*schedule(2, 9))
    assert np.isfinite(step.state()[0]).all()


def test_two_steps_side_by_side_and_one_thrown_away(C: Backend) -> None:
    given = problem(MODELS["relu bernoulli"])
    one, two = C.make_step(*given), C.make_step(*given)
    one(*schedule(2, 9))
    two(*schedule(2, 9))
    del one
    three = C.make_step(*given)
    three(*schedule(2, 9))
    assert two.state()[0].tobytes() == three.state()[0].tobytes()


def test_under_a_stream_of_the_callers(C: Backend, cupy: FakeCupy) -> None:
    given = problem(MODELS["tanh, two layers, free bits"])
    with stream(cupy):
        a = C.to_device(np.ones((4, 5), np.float32))
        step = C.make_step(*given)
        step(*schedule(2, 9))
        y = C.dense_backward_input(a, a)
        step.metrics()
        assert C.to_host(y).shape == (4, 4)
        del a, y


def test_ops_on_one_stream_after_another(C: Backend, cupy: FakeCupy) -> None:
    """The caller orders the arrays; the workspace is the backend's to order."""
    a = C.to_device(np.ones((4, 5), np.float32))
    cupy.default.synchronize()
    for other in (stream(cupy), stream(cupy)):
        with other:
            y = C.dense_backward_input(a, a)
            del y
    for s in cupy.order.streams:
        s.synchronize()


def test_graphs_keep_what_was_allocated_while_they_were_recorded(cupy: FakeCupy) -> None:
    cupy.allocating_captures = True
    device = CupyDevice()
    K, a = gpu.table(device), device.to_device(np.ones((3, 8), np.float32))
    held: list[Any] = []
    with device.working():
        K["bernoulli_nll_forward"](a.reshape(1, 3, 8), a)
        replay = device.capture(
            lambda: held.append(K["bernoulli_nll_forward"](a.reshape(1, 3, 8), a))
        )
        replay()
    assert np.isfinite(device.to_host(held[0])).all()

"""The backend's contract: every op there, the same signatures, no silent fall-back."""

from __future__ import annotations

import inspect
import sys
import types

import pytest

from minivae import ops
from minivae.backend import BackendUnavailable, check_contract, load_backend


def test_numpy_backend_is_the_reference():
    K = load_backend("numpy")
    for op in ops.OPS:
        assert getattr(K, op) is getattr(ops, op)
        assert K.files[op].endswith(".py")


def test_unknown_backend_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'numba'"):
        load_backend("numbra")


def test_tf32_is_a_cards_alone():
    with pytest.raises(ValueError, match="'numpy' has no TF32"):
        load_backend("numpy", tf32=True)


def test_unknown_op_is_named():
    with pytest.raises(AttributeError, match="'numpy' has no op 'dense_sideways'"):
        _ = load_backend("numpy").dense_sideways


def test_kernel_that_no_op_knows_is_rejected():
    with pytest.raises(TypeError, match=r"'dense_foward', which is no op .*dense_forward"):
        check_contract("mine", {"dense_foward": lambda x, W, b: None})


def test_kernel_with_another_signature_is_rejected():
    with pytest.raises(TypeError, match=r"dense_forward\(x, b, W\) should be dense_forward"):
        check_contract("mine", {"dense_forward": lambda x, b, W: None})


def test_a_backend_that_cannot_run_says_why(monkeypatch):
    broken = types.ModuleType("minivae_kernels")

    class Unavailable(RuntimeError):
        pass

    def load(name, threads=None, **rounded):
        raise Unavailable("no card was found; use --backend numba")

    broken.Unavailable, broken.load = Unavailable, load
    monkeypatch.setitem(sys.modules, "minivae_kernels", broken)
    with pytest.raises(BackendUnavailable, match="'cupy' cannot run here: no card was found"):
        load_backend("cupy")


def test_numba_backend_keeps_the_contract():
    pytest.importorskip("numba")
    K = load_backend("numba")
    for op in ops.OPS:
        theirs, ours = inspect.signature(getattr(K, op)), inspect.signature(getattr(ops, op))
        assert list(theirs.parameters) == list(ours.parameters), op

"""Whatever a parameter of an estimator is given: it fits, or one printable, short line says no."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
import minivae

X = np.random.default_rng(0).random((30, 4)).astype(np.float32)
MOST = 600


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: dict[str, Any] = {
    "letters": "x" * 100_000, "signs": "\x1b[31m\n\u202e", "digits": 10**5000,
    "negative": -(10**5000), "nan": float("nan"), "infinite": float("inf"), "minus": -1,
    "list": ["x"] * 10_000, "nested": nested(5000), "dict": {"a": "x" * 100_000},
    "bytes": bytes(100_000), "array": np.zeros(10_000), "object": object(), "pair": (10**5000, 1),
}  # fmt: skip
KINDS = [getattr(minivae, name) for name in minivae.__all__]
ESTIMATORS = [kind for kind in KINDS if inspect.isclass(kind) and hasattr(kind, "fit")]
NOT_SAID = ("verbose",)  # anything is true or false


def names_of(kind: Any) -> list[str]:
    return [name for name in kind().get_params() if name not in NOT_SAID]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_no_parameter_floods_a_message(kind: Any, count: Callable[[str, int], None]) -> None:
    assert len(ESTIMATORS) >= 5
    tried = 0
    for name in names_of(kind):
        for what, value in HOSTILE.items():
            settings = {"epochs": 1} if "epochs" in names_of(kind) else {}
            try:
                kind(**{**settings, name: value}).fit(X)
            except (ValueError, TypeError, RuntimeError, ImportError) as fault:
                text = str(fault)
                assert text.isprintable() and 0 < len(text) <= MOST, (name, what, text[:200])
            tried += 1
    count("hostile parameters given to estimators, each fitted or refused in one line", tried)

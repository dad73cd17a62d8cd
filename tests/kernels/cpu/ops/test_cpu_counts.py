"""The counts' kernels where the two logarithms of a gamma function are large and nearly equal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels.count_checks import DISPERSIONS, check_counts


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("r", DISPERSIONS)
def test_counts_of_any_size_and_dispersion(K: Any, r: float) -> None:
    check_counts(K, r)

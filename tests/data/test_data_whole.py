"""Named arrays, and nothing else, are what a written archive holds."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from minivae.data.whole import save_named


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_holds_what_was_given_and_no_objects(compressed: bool) -> None:
    file = io.BytesIO()
    save_named(file, {"x": np.arange(3), "words": np.array(["a", "bc"])}, compressed=compressed)
    file.seek(0)
    with np.load(file, allow_pickle=False) as found:
        assert set(found) == {"x", "words"} and found["words"].tolist() == ["a", "bc"]
    with pytest.raises(ValueError, match="halves holds Python objects"):
        save_named(io.BytesIO(), {"halves": [Fraction(1, 2)]}, compressed=compressed)

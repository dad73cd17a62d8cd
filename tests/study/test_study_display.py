"""What a chapter states: one figure, or one for each of several seeds, held to its bound."""

import math

import numpy as np
import pytest

from minivae.study.display import ClaimFailed, spread, state


def test_spread_is_mean_and_deviation():
    assert spread([1.0, 2.0, 3.0]) == "2 ± 1"
    assert spread([200.0, 270.0, 340.0]) == "270 ± 70"
    assert spread([0.00123, 0.00125]) == "0.00124 ± 1e-05"
    assert "nan" in spread([1.0, float("nan")])


def test_several_seeds_are_stated_as_mean_and_spread_and_each_is_held_to_the_bound(capsys):
    state("error", [1.0, 2.0, 3.0], at_most=3.5)
    assert capsys.readouterr().out == "error: 2 ± 1  (claim: at most 3.5 for each of 3 ✓)\n"
    with pytest.raises(ClaimFailed, match=r"error is 1, 2, 3; .* at most 2.5 for each of 3"):
        state("error", [1.0, 2.0, 3.0], at_most=2.5)  # though the mean is below it
    with pytest.raises(ClaimFailed):
        state("error", [1.0, math.nan], at_least=0.0)
    state("share", [0.5], near=(0.5, 0.1))
    assert "share: 0.5  (claim: 0.5 ± 0.1 ✓)" in capsys.readouterr().out


@pytest.mark.parametrize("count", [4, 9, 12])
def test_the_names_of_rows_of_pictures_are_whole(count):
    """Fixed pictures leave a layout no choice, so a long name once ran out at the left."""
    pytest.importorskip("matplotlib")
    from minivae.study.figures import picture_rows

    names = ("data", "autoencoder", "VAE without KL", "8 components")
    figure = picture_rows({name: np.zeros((count, 64)) for name in names}, (8, 8))
    figure.set_layout_engine("constrained")
    figure.canvas.draw()
    words = [text for axes in figure.axes for text in axes.texts]
    boxes = [text.get_window_extent() for text in words]
    assert [text.get_text() for text in words] == list(names)
    assert min(box.x0 for box in boxes) >= 0
    pictures = [axes.images[0].get_window_extent() for axes in figure.axes if axes.images]
    assert max(box.x1 for box in boxes) <= min(each.x0 for each in pictures)

"""Principal angles on subspaces whose angles are known (E45)."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from minivae.metrics.subspace import largest_angle, orthonormality_error, principal_angles


@pytest.mark.parametrize("angle", [1e-12, 1e-7, 0.3, 1.2, np.pi / 2])
def test_a_plane_turned_by_a_known_angle(angle):
    a = np.eye(5)[:, :2]
    b = a.copy()
    b[:, 1] = np.cos(angle) * a[:, 1] + np.sin(angle) * np.eye(5)[:, 3]
    found = principal_angles(a @ [[2.0, 1.0], [0.5, 3.0]], b)  # another basis, the same span
    assert found[0] == pytest.approx(0.0, abs=1e-15)
    assert found[1] == pytest.approx(angle, rel=1e-12, abs=1e-15)


def test_agrees_with_scipy():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(11, 4)), rng.normal(size=(11, 4))
    assert np.abs(principal_angles(a, b) - subspace_angles(a, b)[::-1]).max() < 1e-12
    assert largest_angle(a, b) == pytest.approx(subspace_angles(a, b)[0], rel=1e-12)


def test_orthonormality():
    assert orthonormality_error(np.eye(7)[:, :3]) == 0.0
    assert orthonormality_error(2.0 * np.eye(7)[:, :3]) == 3.0


def test_refuses_what_is_not_a_basis():
    with pytest.raises(ValueError, match="do not span"):
        principal_angles(np.ones((5, 2)), np.eye(5)[:, :2])
    with pytest.raises(ValueError, match="one shape"):
        principal_angles(np.eye(5)[:, :1], np.eye(5)[:, :2])
    with pytest.raises(ValueError, match="J <= D"):
        principal_angles(np.ones((2, 5)), np.eye(5)[:, :2])

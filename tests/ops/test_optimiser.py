"""The optimisers against their definition, written the long way."""

from __future__ import annotations

import numpy as np

from minivae import ops


def test_adam_follows_the_paper():
    rng = np.random.default_rng(0)
    theta, m, v = rng.normal(size=13), np.zeros(13), np.zeros(13)
    long_m, long_v, long_theta = m.copy(), v.copy(), theta.copy()
    for t in range(1, 8):
        g = rng.normal(size=13)
        ops.adam_update(theta, g, m, v, 0.01, 0.9, 0.99, 1e-3, t)
        for i in range(13):
            long_m[i] = 0.9 * long_m[i] + 0.1 * g[i]
            long_v[i] = 0.99 * long_v[i] + 0.01 * g[i] ** 2
            m_hat, v_hat = long_m[i] / (1 - 0.9**t), long_v[i] / (1 - 0.99**t)
            long_theta[i] -= 0.01 * m_hat / (np.sqrt(v_hat) + 1e-3)
    assert np.allclose(theta, long_theta, rtol=1e-13, atol=0)


def test_sgd_with_momentum_follows_its_definition():
    theta, velocity = np.array([1.0, -2.0, 0.5]), np.array([0.3, 0.0, -0.1])
    ops.sgd_update(theta, np.array([0.2, 0.4, -1.0]), velocity, 0.1, 0.9)
    assert np.allclose(velocity, [0.47, 0.4, -1.09], rtol=1e-14)
    assert np.allclose(theta, [0.953, -2.04, 0.609], rtol=1e-14)


def test_optimisers_keep_float32_and_change_in_place():
    theta, g = np.ones(5, np.float32), np.full(5, 0.5, np.float32)
    m, v = np.zeros(5, np.float32), np.zeros(5, np.float32)
    before = theta
    assert ops.adam_update(theta, g, m, v, 1e-3, 0.9, 0.999, 1e-8, 1) is None
    assert theta is before
    assert theta.dtype == m.dtype == np.float32
    assert np.allclose(theta, 1 - 1e-3)

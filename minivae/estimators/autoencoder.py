"""The autoencoder as an estimator: linear ones by whole-batch descent, deep ones by minibatches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from minivae.backend import load_backend
from minivae.estimators.arguments import as_seed, check_latent_dim, taken_weight, weighed_rows
from minivae.estimators.base import LatentEstimator, whole_or_unchanged
from minivae.layers import Parameters
from minivae.models.autoencoder import (
    AutoencoderConfig,
    as_scalar,
    autoencoder_backward,
    autoencoder_decode,
    autoencoder_encode,
    autoencoder_forward,
    autoencoder_layout,
)
from minivae.models.descend import descend
from minivae.models.initialise import glorot
from minivae.models.moments import moment_rows, weighted_mean
from minivae.ops.philox import permutation
from minivae.types import Array


class Autoencoder(LatentEstimator):
    """An autoencoder trained on the squared error (E9); `hidden=()` is the linear one.

    Parameters
    ----------
    latent_dim : J, the width of the bottleneck, at most n_features.
    hidden : sizes of the encoder's hidden layers, or one size; the decoder mirrors them.
    activation : "relu" or "tanh"; None is for hidden=(), which has none.
    steps : updates of Adam; its step size falls to zero along a cosine.
    lr : the first step size; None takes 0.02 for a linear model, 0.001 for a deep one.
    batch_size : data per update of a deep model; a linear one always sees the whole batch, through
        `moment_rows`, which have the same loss and gradient.
    backend : "numpy", "numba" or "cupy".
    random_state : the seed of the first weights and of the data's order: int, RandomState or None.
    standardise : take each column's mean and deviation out first; `decoder` is then of those units.

    After fit: `params_` (named tensors), `mean_` (D,) subtracted from the data, `losses_` (steps,).
    A linear model computes in float64; a deep one in float32.
    """

    FITTED = ("mean_", "losses_")
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"sample_weight": None}

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: int | tuple[int, ...] = (),
        activation: str | None = "relu",
        steps: int = 2000,
        lr: float | None = None,
        batch_size: int = 128,
        backend: str = "numpy",
        random_state: Any = 0,
        standardise: bool = False,
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.activation = activation
        self.steps = steps
        self.lr = lr
        self.batch_size = batch_size
        self.backend = backend
        self.random_state = random_state
        self.standardise = standardise

    @whole_or_unchanged
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        watch: Callable[[int], None] | None = None,
        **given: Any,
    ) -> Self:
        """Train on X (N, D); y is ignored. `watch` is told each update's number as it begins.

        sample_weight: by name, how much each row counts (N,); they are scaled to mean 1.
        Raises ValueError where the settings or weights cannot be.
        """
        sample_weight = taken_weight(type(self).__name__, given)
        X, weight = weighed_rows(self._validate(X, reset=True), sample_weight)
        X = self._learn_units(X, weight)
        self.config_ = self._model_config(X.shape)
        hidden = self.config_.hidden
        self.mean_ = weighted_mean(X, weight)
        layout = autoencoder_layout(self.config_)
        self.seed_ = as_seed(self.random_state)
        theta = glorot(layout, self.seed_, "float32" if hidden else "float64")
        self.latent_dim_ = self.latent_dim
        batches = (self._minibatches if hidden else self._whole_batch)(X, weight)
        K = load_backend(self.backend)
        there, flat = K.to_device(theta), K.to_device(np.empty_like(theta))
        p = layout.views(there)

        def loss_and_gradient(t: int) -> tuple[float, Array]:
            if watch is not None:
                watch(t)
            rows, counts = batches(t)
            x, w = K.to_device(rows), None if counts is None else K.to_device(counts)
            loss, cache = autoencoder_forward(K, p, x, self.config_, w)
            g = autoencoder_backward(K, as_scalar(1.0, x), cache, p, self.config_)
            return float(loss), layout.flatten(g, flat)

        lr = self.lr if self.lr is not None else (0.001 if hidden else 0.02)
        self.losses_ = descend(K, there, loss_and_gradient, self.steps, lr)
        self.params_ = layout.views(K.to_host(there))
        return self

    def _model_config(self, shape: tuple[int, ...]) -> AutoencoderConfig:
        """The model for rows of this shape (N, D); ValueError where the settings cannot be."""
        check_latent_dim(self.latent_dim, shape, at_most=shape[1])
        hidden = self._hidden_sizes()
        if self.activation is None and hidden:
            raise ValueError("activation=None is for hidden=(); choose 'relu' or 'tanh'.")
        return AutoencoderConfig(shape[1], int(self.latent_dim), hidden, self.activation or "relu")

    def _whole_batch(self, X: Array, weight: Array | None) -> Any:
        rows = moment_rows(X, self.mean_, weight)
        return lambda t: (rows, None)

    def _minibatches(self, X: Array, weight: Array | None) -> Any:
        """Update t's rows and weights: an epoch is one pass, in an order drawn from its number."""
        size = max(1, min(self.batch_size, len(X)))
        per_epoch = len(X) // size
        mean = self.mean_.astype(np.float32)
        orders: dict[int, Array] = {}

        def batch(t: int) -> tuple[Array, Array | None]:
            epoch, k = divmod(t, per_epoch)
            if epoch not in orders:
                orders.clear()
                orders[epoch] = permutation(self.seed_, epoch, len(X))
            rows = orders[epoch][k * size : (k + 1) * size]
            w = None if weight is None else weight[rows].astype(np.float32)
            return np.asarray(X[rows], dtype=np.float32) - mean, w

        return batch

    def _tensors(self) -> dict[str, Array]:
        return {**super()._tensors(), **self.params_}

    def _facts(self) -> dict[str, Any]:
        return {"hidden": list(self.config_.hidden), "activation": self.config_.activation}

    def _restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        super()._restore(facts, tensors)
        sizes = (self.n_features_in_, self.latent_dim_)
        self.config_ = AutoencoderConfig(*sizes, tuple(facts["hidden"]), facts["activation"])
        layout = autoencoder_layout(self.config_)
        self.params_ = {entry.name: tensors[entry.name] for entry in layout.entries}

    def _parameters(self, dtype: Any) -> Parameters:
        return {name: tensor.astype(dtype) for name, tensor in self.params_.items()}

    def _encode(self, X: Array) -> Array:
        # float64: a row's code does not depend on its neighbours, as BLAS's float32 may.
        centred = X.astype(np.float64) - self.mean_
        p = self._parameters(np.float64)
        return autoencoder_encode(load_backend("numpy"), p, centred, self.config_).astype(X.dtype)

    def _decode(self, Z: Array) -> Array:
        return self.decoder(Z.astype(np.float64)).astype(Z.dtype)

    def decoder(self, z: Array) -> Array:
        """The decoder as a plain function of z (N, J) that also takes complex numbers (E39)."""
        p = self._parameters(np.float64)
        return autoencoder_decode(load_backend("numpy"), p, z, self.config_) + self.mean_

"""The VAE as a scikit-learn estimator: fit, transform, inverse_transform, sample, score, save."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from minivae.backend import Backend, load_backend
from minivae.data.dataset import Dataset
from minivae.estimators.base import LatentEstimator, as_float32, as_plain, as_seed
from minivae.metrics.likelihood import Evaluation, evaluate
from minivae.models import vae
from minivae.models.config import ModelConfig, require_int
from minivae.ops.philox import GENERATE, normals
from minivae.parts import LIKELIHOODS
from minivae.runs.config import TrainConfig
from minivae.training.loop import train
from minivae.training.progress import NullReporter, PlainReporter
from minivae.types import Array


class VAE(LatentEstimator):
    """Variational autoencoder (E10 to E33) with scikit-learn's manners.

    The default likelihood is Gaussian with a learned variance, which suits any real data. For
    pictures in [0, 1], `likelihood="bernoulli"` is the usual choice; it refuses other data.

    Parameters
    ----------
    latent_dim : J, the number of latent dimensions.
    hidden : sizes of the encoder's hidden layers, mirrored by the decoder; () is linear.
    activation : "relu" or "tanh".
    likelihood : "gaussian" or "bernoulli".
    c : variance of the Gaussian likelihood, or "learned" (E20).
    beta, warmup, free_bits, draws : weight of the KL, epochs over which it rises from 0 (E30),
        nats per dimension that cost nothing (E31), Monte-Carlo draws per datum (E28).
    epochs, batch_size, lr, optimiser, momentum : training; "adam" or "sgd".
    binarise : "none", or "dynamic": fresh Bernoulli targets at every presentation (E35).
    random_state : int, RandomState or None; an int gives the same bits every time.
    backend, threads : what computes the training step and the likelihoods.
    patience, validation : stop after so many epochs without a better ELBO on that share of X.
    verbose : print a line per epoch.

    Attributes
    ----------
    config_ : the ModelConfig. theta_ : parameters (P,). loss_curve_ : training loss per epoch,
    nats per datum. validation_curve_ : held-out loss per epoch. n_iter_ : epochs done.
    """

    def __init__(
        self,
        latent_dim: int = 2,
        hidden: tuple[int, ...] = (400,),
        activation: str = "relu",
        likelihood: str = "gaussian",
        c: float | str = "learned",
        beta: float = 1.0,
        warmup: float = 0.0,
        free_bits: float = 0.0,
        draws: int = 1,
        epochs: int = 50,
        batch_size: int = 128,
        lr: float = 1e-3,
        optimiser: str = "adam",
        momentum: float = 0.9,
        binarise: str = "none",
        random_state: Any = 0,
        backend: str = "numpy",
        threads: int | None = None,
        patience: int | None = None,
        validation: float = 0.1,
        verbose: bool = False,
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.activation = activation
        self.likelihood = likelihood
        self.c = c
        self.beta = beta
        self.warmup = warmup
        self.free_bits = free_bits
        self.draws = draws
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimiser = optimiser
        self.momentum = momentum
        self.binarise = binarise
        self.random_state = random_state
        self.backend = backend
        self.threads = threads
        self.patience = patience
        self.validation = validation
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on X (N, D); y is ignored. Starts anew at every call.

        Raises ValueError (ConfigError) for data or settings that cannot be, Diverged where the
        loss stops being finite, BackendUnavailable where the backend cannot run.
        """
        X = self._validate(X, reset=True)
        config, settings = self._model_config(X.shape[1]), self._settings()
        self._check_range(X, config)
        rows = as_float32(X)
        data = Dataset(name="X", train=rows, test=rows[:0])
        reporter = PlainReporter() if self.verbose else NullReporter()
        result = train(config, settings, data, self._backend(), reporter=reporter)
        self.config_, self.seed_, self.latent_dim_ = config, settings.seed, config.latent_dim
        self.theta_ = result.theta if self.patience is None else result.best_theta
        self.loss_curve_ = [record["train"]["loss"] for record in result.history]
        held_out = [record["held_out"] for record in result.history]
        self.validation_curve_ = [figures["loss"] for figures in held_out if figures]
        self.n_iter_ = result.epochs
        return self

    def _model_config(self, data_dim: int) -> ModelConfig:
        given = self._given()
        hidden = given["hidden"]
        keys = ("latent_dim", "activation", "likelihood", "c", "beta", "free_bits", "draws")
        return ModelConfig(
            data_dim=int(data_dim),
            hidden=(hidden,) if isinstance(hidden, int) else hidden,
            **{key: given[key] for key in keys},
        )

    def _given(self) -> dict[str, Any]:
        """The parameters in Python's own types: a search over np.arange gives NumPy's."""
        given = {key: as_plain(value) for key, value in self.get_params().items()}
        if isinstance(given["hidden"], (tuple, list, np.ndarray)):
            given["hidden"] = tuple(as_plain(size) for size in given["hidden"])
        return given

    def _settings(self) -> TrainConfig:
        given = self._given()
        keys = ("epochs", "batch_size", "lr", "optimiser", "momentum", "warmup", "binarise",
                "backend", "threads", "patience")  # fmt: skip
        return TrainConfig(
            dataset="X",
            seed=as_seed(self.random_state),
            validation=None if self.patience is None else given["validation"],
            **{key: given[key] for key in keys},
        )

    def _backend(self) -> Backend:
        return load_backend(self.backend, self.threads)

    def _check_range(self, X: Array, config: ModelConfig) -> None:
        domain = LIKELIHOODS[config.likelihood].domain
        found = domain.fault(X, config.groups)
        if found is not None:
            row, column, value = found
            raise ValueError(
                f"X[{row}, {column}] is {value:g} (X ranges from {X.min():g} to {X.max():g}), but "
                f"likelihood={config.likelihood!r} needs {domain.words}: {domain.fix}."
            )

    # Encoding and decoding run the reference ops in the data's own precision, so that a row's
    # code does not depend, beyond float64 rounding, on which rows stand beside it.
    def _views(self, dtype: Any) -> dict[str, Array]:
        return vae.layout_of(self.config_).views(self.theta_.astype(dtype))

    def _encode(self, X: Array) -> Array:
        mu, _ = vae.encode(load_backend("numpy"), self._views(X.dtype), X, self.config_)
        return mu

    def _decode(self, Z: Array) -> Array:
        return vae.decode_mean(load_backend("numpy"), self._views(Z.dtype), Z, self.config_)

    def posterior(self, X: Any) -> tuple[Array, Array]:
        """Mean and standard deviation (N, J) of q(z|x) for X (N, D)  (E25)."""
        X = self._validate(X, reset=False)
        K, views = load_backend("numpy"), self._views(X.dtype)
        mu, logvar = vae.encode(K, views, X, self.config_)
        return mu, np.exp(0.5 * logvar)

    def sample(self, n_samples: int = 1, random_state: Any = 0) -> Array:
        """n_samples new data (n, D): z from the prior, decoded to E[x|z]  (E10).

        random_state: int, RandomState or None; an int gives the same data every time.
        """
        check_is_fitted(self)
        require_int("n_samples", as_plain(n_samples), 1)
        rows = np.arange(n_samples)
        seed = as_seed(random_state)
        return self._decode(normals(seed, GENERATE, 0, rows, self.latent_dim_))

    def elbo(self, X: Any, samples: int = 1) -> Array:
        """ELBO of each row of X, (N,), nats, by `samples` draws and the closed-form KL  (E19)."""
        return self._evaluate(X, samples).elbo

    def log_likelihood(self, X: Any, samples: int = 500) -> Array:
        """Importance-sampled log p(x) of each row of X, (N,), nats  (E37).

        A lower bound in expectation, tighter with more samples; computed in chunks, so memory
        depends on neither N nor samples. Grey Bernoulli targets make it a score, not a likelihood.
        """
        return self._evaluate(X, samples).log_p

    def _evaluate(self, X: Any, samples: int) -> Evaluation:
        X = self._validate(X, reset=False)
        self._check_range(X, self.config_)
        K = self._backend()
        p = vae.layout_of(self.config_).views(K.to_device(self.theta_))
        return evaluate(K, p, as_float32(X), self.config_, samples=samples, seed=self.seed_)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean ELBO of X, nats per datum (one draw); larger is better; y is ignored."""
        return float(self.elbo(X).mean())

    def save(self, path: str | Path) -> Path:
        """Write PATH.safetensors and its manifest PATH.json (sha256 sums, no pickle)."""
        from minivae.runs.checkpoint import write_checkpoint

        check_is_fitted(self)
        path = tensors_path(path)
        names = getattr(self, "feature_names_in_", None)
        facts: dict[str, Any] = {
            "estimator": self._given() | {"hidden": list(self.config_.hidden)},
            "model": self.config_.to_dict(),
            "seed": self.seed_,
            "loss_curve": self.loss_curve_,
            "validation_curve": self.validation_curve_,
            "feature_names": None if names is None else [str(name) for name in names],
        }
        if not isinstance(self.random_state, (int, np.integer)):
            facts["estimator"]["random_state"] = self.seed_
        write_checkpoint(path, vae.layout_of(self.config_).views(self.theta_), facts)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator that `save` wrote; CheckpointError where a file is damaged or another's."""
        from minivae.runs.checkpoint import read_checkpoint
        from minivae.runs.errors import CheckpointError

        checkpoint = read_checkpoint(tensors_path(path))
        facts = checkpoint.manifest
        if "estimator" not in facts:
            raise CheckpointError(f"{path} was not written by {cls.__name__}.save")
        return cls._from_facts(facts, checkpoint.tensors)

    @classmethod
    def _from_facts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> Self:
        self = cls(**{**facts["estimator"], "hidden": tuple(facts["estimator"]["hidden"])})
        self.config_ = ModelConfig.from_dict(facts["model"])
        layout = vae.layout_of(self.config_)
        self.theta_ = layout.flatten(tensors, np.empty(layout.size, dtype=np.float32))
        self.seed_, self.latent_dim_ = facts["seed"], self.config_.latent_dim
        self.loss_curve_, self.validation_curve_ = facts["loss_curve"], facts["validation_curve"]
        self.n_iter_, self.n_features_in_ = len(self.loss_curve_), self.config_.data_dim
        if facts["feature_names"] is not None:
            self.feature_names_in_ = np.asarray(facts["feature_names"], dtype=object)
        return self

    @property
    def c_(self) -> float | None:
        """The likelihood's scale as fitted (its mean, if each feature has one); None without."""
        check_is_fitted(self)
        scale = LIKELIHOODS[self.config_.likelihood].scale
        if scale is None:
            return None
        if not self.config_.learns_c:
            return float(self.config_.c)
        return float(np.exp(self._views(np.float64)[scale.tensor]).mean())


def tensors_path(path: str | Path) -> Path:
    """The path with the ending .safetensors, whether it was given or not."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")

"""The VAE as a scikit-learn estimator: its parameters, and how it is fitted."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar, Self

from minivae.data.dataset import Dataset
from minivae.data.standard import scale_advice
from minivae.estimators.arguments import as_float32, as_seed, taken_weight, weighed_rows
from minivae.estimators.base import whole_or_unchanged
from minivae.estimators.trained_vae import TrainedVAE
from minivae.estimators.training import (
    Callback,
    fit_in_memory,
    going_on,
    where_the_model_stands,
)
from minivae.models.config import ModelConfig
from minivae.parts import LIKELIHOODS
from minivae.parts.domains import REAL
from minivae.runs.config import TrainConfig
from minivae.runs.state import State
from minivae.types import Array


class UnscaledData(UserWarning):
    """The columns of X are too large, or too unlike each other, to be trained on as they are."""


class VAE(TrainedVAE):
    """Variational autoencoder (E10 to E33, E47 to E66) as scikit-learn's estimators behave.

    The default likelihood is Gaussian with a learned variance, which suits any real data. For
    pictures in [0, 1], `likelihood="bernoulli"` is the usual choice; it refuses other data.

    Parameters
    ----------
    latent_dim : J, the number of latent dimensions.
    hidden : sizes of the encoder's hidden layers, mirrored by the decoder; () is linear.
    activation, likelihood : names in `minivae.parts.ACTIVATIONS` and `LIKELIHOODS`.
    c : the likelihood's scale where it has one (the Gaussian's variance), or "learned" (E20).
    beta, warmup, free_bits, draws : weight of the KL, epochs over which it rises from 0 (E30),
        nats per dimension that cost nothing (E31), Monte-Carlo draws per datum (E28).
    epochs, batch_size, lr, optimiser, momentum : training.
    binarise : "none", or "dynamic": fresh Bernoulli targets at every presentation (E35).
    random_state : int, RandomState or None; an int gives the same bits every time.
    backend, threads : what computes the training step and the likelihoods.
    patience, validation : stop after so many epochs without a better ELBO on that share of X.
    verbose : print a line per epoch; in a notebook, a bar.
    warm_start : a further `fit` goes on from where the last one ended (with `patience`, from its
        best epoch), for `epochs` more.
    objective : what is minimised, a name in `minivae.parts.OBJECTIVES`.
    standardise : train on columns of mean 0 and deviation 1. Data, samples and log p stay in the
        user's units: log p(x) is that of the standardised x less the sum of the log deviations.

    uint8 X (an array, tensor, list or frame) are pictures, scaled by 1/255, unless all values are 0
    or 1. A VAE that was fitted on them takes other whole numbers so too; one that was fitted on
    other numbers beyond 0 to 1 takes bytes as they stand.

    Attributes
    ----------
    config_ : the ModelConfig. theta_ : parameters (P,). history_ : the figures of each epoch, as
    columns. loss_curve_, validation_curve_ : training and held-out loss per epoch, nats per datum.
    n_iter_, epochs_done_ : epochs done. state_ : what a warm start goes on from.
    """

    __metadata_request__fit: ClassVar[dict[str, Any]] = {"sample_weight": None}
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {"sample_weight": None}

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
        warm_start: bool = False,
        objective: str = "elbo",
        standardise: bool = False,
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
        self.warm_start = warm_start
        self.objective = objective
        self.standardise = standardise

    @whole_or_unchanged
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation_data: Any = None,
        callback: Callback | None = None,
        **given: Any,
    ) -> Self:
        """Train on X (N, D); y is ignored. Starts anew, but with `warm_start` goes on.

        validation_data: rows (M, D) to measure on after each epoch, in place of a share of X.
        callback(epoch, metrics): called after each epoch with its row of `history_`; where it
        returns True, the fit ends. Ctrl-C keeps the model fitted so far, with a warning.
        sample_weight: by name, how much each row of X counts (N,), scaled to mean 1 (E64). A row of
        weight 2 is worth the row twice, on average over draws and batches; of 0, none. Losses in
        `history_` are then weighted means, of a share held out too. A backend without a fused step
        for weights computes op by op (slower; `verbose` says so).

        Raises ValueError (ConfigError) for data or settings that cannot be, Diverged where the
        loss stops being finite, BackendUnavailable where the backend cannot run.
        """
        sample_weight = taken_weight(type(self).__name__, given)
        warm = self.warm_start and hasattr(self, "config_")
        X, weight = weighed_rows(self._validate(X, reset=not warm), sample_weight)
        config = self._model_config(X.shape[1])
        if warm and config != self.config_:
            raise ValueError(
                f"warm_start=True goes on with the fitted {self.config_}, and the parameters now "
                f"say {config}: set warm_start=False to start anew."
            )
        valid = None if validation_data is None else self._validate(validation_data, reset=False)
        settings = self._settings(own_rows=validation_data is not None)
        state = self.state_ if warm else None
        return self._train(X, weight, config, settings, valid, callback, state)

    @whole_or_unchanged
    def partial_fit(
        self, X: Any, y: Any = None, *, callback: Callback | None = None, **given: Any
    ) -> Self:
        """One epoch over X (N, D), from where the model stands; y is ignored.

        The first call starts a model. `epochs`, `patience` and `validation` play no part.
        sample_weight: as `fit` takes it; scaled to mean 1 in each call by itself.
        """
        sample_weight = taken_weight(type(self).__name__, given)
        fitted = hasattr(self, "config_")
        X, weight = weighed_rows(self._validate(X, reset=not fitted), sample_weight)
        config = self.config_ if fitted else self._model_config(X.shape[1])
        settings = self._settings(own_rows=True).with_changes(epochs=1, patience=None)
        state = self.state_ if fitted else None
        return self._train(X, weight, config, settings, None, callback, state)

    def _train(
        self,
        X: Array,
        weight: Array | None,
        config: ModelConfig,
        settings: TrainConfig,
        valid: Array | None,
        callback: Callback | None,
        state: State | None,
    ) -> Self:
        if state is None:
            self._advise(X, config)
            X = self._learn_units(X, weight)
        else:
            X = self._inward(X)
        valid = None if valid is None else self._inward(valid)
        for rows in (X, valid):
            if rows is not None:
                self._check_range(rows, config)
        rows = as_float32(X)
        held_out = None if valid is None else as_float32(valid)
        data = Dataset(
            name="X", train=rows, test=rows[:0], valid=held_out, standard=self.standard_,
            weight=weight,
        )  # fmt: skip
        if state is not None:
            state = going_on(state, math.ceil(len(rows) / settings.batch_size))
            epochs = settings.epochs + state.progress.epoch
            settings = settings.with_changes(epochs=epochs, seed=self.seed_)
        result = fit_in_memory(
            config, settings, data, self._backend(),
            verbose=self.verbose, callback=callback, state=state,
        )  # fmt: skip
        before = [] if state is None else self.records_
        self.config_, self.seed_, self.latent_dim_ = config, settings.seed, config.latent_dim
        self.theta_, self.state_ = result.theta, result.state
        if settings.patience is not None:
            self.theta_, self.state_ = result.best_theta, where_the_model_stands(result)
        self.records_ = before + result.history
        self.n_iter_ = self.epochs_done_ = result.epochs
        return self

    def _advise(self, X: Array, config: ModelConfig) -> None:
        """Warn, naming columns, of data that one scale cannot fit.

        Raises ValueError for a likelihood that takes no standardised data.
        """
        likelihood = LIKELIHOODS[config.likelihood]
        if self.standardise and likelihood.domain is not REAL:
            raise ValueError(
                f"standardise=True gives numbers below 0, which likelihood={config.likelihood!r} "
                "does not take: set standardise=False, or use likelihood='gaussian'."
            )
        if self.standardise or likelihood.scale is None:
            return
        advice = scale_advice(X, 1.0, getattr(self, "feature_names_in_", None))
        if advice is not None:
            text = f"{advice}; standardise=True scales them and gives every result in your units"
            warnings.warn(text, UnscaledData, stacklevel=5)

    def _model_config(self, data_dim: int) -> ModelConfig:
        given = self._given()
        keys = ("latent_dim", "activation", "likelihood", "c", "beta", "free_bits", "draws",
                "objective")  # fmt: skip
        return ModelConfig(
            data_dim=int(data_dim),
            hidden=self._hidden_sizes(),
            **{key: given[key] for key in keys},
        )

    def _settings(self, own_rows: bool) -> TrainConfig:
        """The training's settings; `own_rows` where no share of X is to be held out."""
        given = self._given()
        keys = ("epochs", "batch_size", "lr", "optimiser", "momentum", "warmup", "binarise",
                "backend", "threads", "patience")  # fmt: skip
        return TrainConfig(
            dataset="X",
            seed=as_seed(self.random_state),
            validation=None if own_rows or self.patience is None else given["validation"],
            **{key: given[key] for key in keys},
        )

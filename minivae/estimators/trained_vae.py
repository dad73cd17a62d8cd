"""A VAE once it is fitted: encoding, decoding, sampling, likelihoods, and its place on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from minivae.backend import Backend, load_backend
from minivae.data.standard import Standard
from minivae.estimators.arguments import as_float32, as_plain, as_seed
from minivae.estimators.base import LatentEstimator
from minivae.estimators.storage import StoredRun, is_run
from minivae.estimators.training import table
from minivae.estimators.units import Units, beyond_unit, kind_of
from minivae.metrics.likelihood import Evaluation, evaluate
from minivae.models import vae
from minivae.models.config import ModelConfig
from minivae.parts import LIKELIHOODS
from minivae.runs.state import State
from minivae.sampling import draw_all, prior_codes
from minivae.settings import require_int
from minivae.types import Array

Records = list[dict[str, Any]]


class TrainedVAE(LatentEstimator):
    """What a fitted VAE can do; `minivae.VAE` adds its parameters and how it is fitted."""

    config_: ModelConfig
    theta_: Array
    seed_: int
    records_: Records
    units_: Units = Units()  # what it was fitted on: bytes, or other numbers beyond 0 to 1
    backend: str
    threads: int | None
    optimiser: str

    @property
    def history_(self) -> dict[str, list[Any]]:
        """A column for each figure, a value for each epoch: `pandas.DataFrame(vae.history_)`.

        Losses are in nats per datum: train_loss, train_reconstruction, train_kl, train_elbo, and
        valid_… where rows were held out.
        """
        check_is_fitted(self)
        return table(self.records_)

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch, nats per datum."""
        check_is_fitted(self)
        return [record["train"]["loss"] for record in self.records_]

    @property
    def validation_curve_(self) -> list[float]:
        """The held-out loss of each epoch, nats per datum; empty where nothing is held out."""
        check_is_fitted(self)
        held_out = (record["held_out"] for record in self.records_)
        return [figures["loss"] for figures in held_out if figures]

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

    def _validate(self, X: Any, *, reset: bool, min_samples: int = 1) -> Array:
        """As every estimator's; bytes are pictures, 0 to 255 for 0 to 1, unless all are 0 or 1."""
        checked = super()._validate(X, reset=reset, min_samples=min_samples)
        kind = kind_of(X)
        if reset:
            self.units_ = Units.of(checked, kind)
        return self.units_.taken(checked, kind)

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
        X = self._inward(self._validate(X, reset=False))
        K, views = load_backend("numpy"), self._views(X.dtype)
        mu, logvar = vae.encode(K, views, X, self.config_)
        return mu, np.exp(0.5 * logvar)

    def sample(self, n_samples: int = 1, random_state: Any = 0, *, mean: bool = False) -> Array:
        """n_samples new data (n, D): z from the prior, then x drawn from p(x|z)  (E10).

        mean=True gives the decoded means E[x|z] instead: smoother than data are, for they lack the
        spread that p(x|z) has. random_state: int, RandomState or None; an int gives the same data
        every time.
        """
        check_is_fitted(self)
        require_int("n_samples", as_plain(n_samples), 1)
        seed = as_seed(random_state)
        codes = prior_codes(n_samples, self.latent_dim_, seed)
        if mean:
            return self._outward(self._decode(codes))
        views = self._views(np.float32)
        return self._outward(draw_all(load_backend("numpy"), views, codes, self.config_, seed))

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
        X = self._inward(self._validate(X, reset=False))
        self._check_range(X, self.config_)
        K = self._backend()
        p = vae.layout_of(self.config_).views(K.to_device(self.theta_))
        found = evaluate(K, p, as_float32(X), self.config_, samples=samples, seed=self.seed_)
        return found.in_user_units(self._log_volume)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean ELBO of X, nats per datum (one draw); larger is better; y is ignored."""
        return float(self.elbo(X).mean())

    @classmethod
    def load(cls, path: str | Path, checkpoint: str | None = None) -> Self:
        """What `save` wrote, or the model of a run: its directory, or one checkpoint's file.

        checkpoint: "best" or "last" of a run's directory; by default the best where it was chosen
        on rows held out for that. A run's model takes data in its own units, those of
        `load_data(name).values()`: pixels in [0, 1].

        Raises CheckpointError where a file is damaged, another's, or one of two that the path may
        mean, RunError for no run.
        """
        if not is_run(path, checkpoint):
            return super().load(path)
        run = StoredRun(Path(path), checkpoint)
        self = cls(**run.parameters(cls._get_param_names()))
        self._take(run.model, run.theta, run.train.seed, run.history)
        done = run.manifest["progress"]  # an epoch that was broken off is begun again
        self._count(done["epoch"], done["t"] - done["update"])
        data = run.manifest["data"]
        self.units_ = Units(own=beyond_unit(data.get("low", 0), data.get("high", 1)))
        standard = data.get("standard")
        self.standard_ = None if standard is None else Standard.from_dict(standard)
        self.standardise = standard is not None
        columns = data.get("columns")
        if columns is not None:
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        return self

    def _tensors(self) -> dict[str, Array]:
        return vae.layout_of(self.config_).views(self.theta_)

    def _facts(self) -> dict[str, Any]:
        done = self.state_.progress  # records may be fewer: a checkpoint's file comes without
        return {"model": self.config_.to_dict(), "seed": self.seed_, "history": self.records_,
                "grey_bytes": self.units_.grey_bytes, "own_units": self.units_.own,
                "epochs": self.epochs_done_, "updates": done.t - done.update}  # fmt: skip

    def _restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        config = ModelConfig.from_dict(facts["model"])
        records = facts.get("history")
        if records is None:  # an earlier version kept the curves alone
            records = curves_as_records(facts["loss_curve"], facts["validation_curve"])
        self.units_ = Units(facts.get("grey_bytes", False), facts.get("own_units", False))
        layout = vae.layout_of(config)
        theta = layout.flatten(tensors, np.empty(layout.size, dtype=np.float32))
        self._take(config, theta, facts["seed"], records)
        if "epochs" in facts:  # an earlier version kept no count
            self._count(facts["epochs"], facts["updates"])

    def _take(self, config: ModelConfig, theta: Array, seed: int, records: Records) -> None:
        """Become a fitted model; a warm start then begins with the optimiser's moments at 0."""
        self.config_, self.theta_, self.seed_, self.records_ = config, theta, seed, records
        self.latent_dim_, self.n_features_in_ = config.latent_dim, config.data_dim
        self.state_ = State.fresh(config, seed, self.optimiser)
        self.state_.theta = theta.copy()
        self._count(len(records), records[-1].get("updates", 0) if records else 0)

    def _count(self, epochs: int, updates: int) -> None:
        """Take so many epochs and updates as done."""
        self.n_iter_ = self.epochs_done_ = self.state_.progress.epoch = epochs
        self.state_.progress.t = updates

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


def curves_as_records(loss: list[float], held_out: list[float]) -> Records:
    """Epochs' records of which only the losses are known."""
    measured: list[Any] = [{"loss": value} for value in held_out] or [None] * len(loss)
    return [
        {"epoch": n, "updates": 0, "lr": None, "beta": None, "seconds": None, "monitor": "valid",
         "train": {"loss": value}, "held_out": figures}
        for n, (value, figures) in enumerate(zip(loss, measured, strict=True), 1)
    ]  # fmt: skip

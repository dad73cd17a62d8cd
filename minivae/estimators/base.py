"""What every estimator shares: names, and the encode / decode words.

Subclasses set `latent_dim_` in `fit` and give `_encode(X) -> Z` and `_decode(Z) -> X`; this file
gives `transform`, `inverse_transform`, `encode`, `decode`, `reconstruct`, `reconstruction_error`,
`score`, `save`, `load` and scikit-learn's names and messages, so that PCA, the autoencoder and the
VAE can stand in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from minivae.data.objects import refuse_misread
from minivae.data.standard import Standard
from minivae.data.tables import text_columns
from minivae.estimators.arguments import as_plain, in_one_line, refuse_pictures
from minivae.types import Array

Fit = TypeVar("Fit", bound=Callable[..., Any])


def whole_or_unchanged(fit: Fit) -> Fit:
    """A `fit` that fails, or that Ctrl-C ends, leaves what was fitted before as it was.

    Units, sizes and parameters belong together: new ones of one fit beside old ones of another
    would be a model that nobody fitted.
    """

    @wraps(fit)
    def fit_or_restore(self: LatentEstimator, /, *args: Any, **more: Any) -> Any:
        before = self._fitted()
        try:
            return fit(self, *args, **more)
        except BaseException:
            for name in self._fitted():
                delattr(self, name)
            self.__dict__.update(before)
            raise

    return cast(Fit, fit_or_restore)


class LatentEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of every model that maps data (N, D) to codes (N, J) and back."""

    latent_dim_: int
    n_features_in_: int
    FITTED: ClassVar[tuple[str, ...]] = ()  # the attributes that `save` keeps as arrays
    standardise: bool = False
    standard_: Standard | None = None  # mean and deviation taken out of the columns

    def _validate(self, X: Any, *, reset: bool, min_samples: int = 1) -> Array:
        """X as a finite (N, D) float32 or float64 array; messages as scikit-learn's.

        `reset=True` (in fit) records n_features_in_ and feature names; False checks against them.
        Raises ValueError for NaN, infinity, the wrong number of features, empty or 3-D data.
        """
        refuse_misread(X)
        refuse_pictures(X, type(self).__name__)
        if not reset:
            check_is_fitted(self)
        try:
            checked: Array = validate_data(
                self, X, dtype=[np.float64, np.float32], reset=reset, ensure_min_samples=min_samples
            )
        except ValueError as fault:
            if hasattr(X, "columns") and (texts := text_columns(X)):
                raise ValueError(
                    f"X has text in {', '.join(repr(name) for name in texts[:3])}: leave such "
                    "columns out, or make them 0s and 1s by load_data(X, one_hot=True)."
                ) from None
            raise ValueError(in_one_line(fault, type(self).__name__)) from None
        return checked

    def _validate_codes(self, Z: Any) -> Array:
        """Z as a finite (N, J) array with as many columns as the latent space has dimensions."""
        check_is_fitted(self)
        Z = check_array(Z, dtype=[np.float64, np.float32])
        if Z.shape[1] != self.latent_dim_:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but {type(self).__name__} has "
                f"{self.latent_dim_} latent dimensions."
            )
        return np.asarray(Z)

    def _learn_units(self, X: Array, weight: Array | None = None) -> Array:
        """In `fit`: X (N, D) as the model sees it, standardised where that is asked for."""
        self.standard_ = Standard.of(X, weight=weight) if self.standardise else None
        return self._inward(X)

    def _inward(self, X: Array) -> Array:
        """X (N, D) in the user's units as the model sees it, of the same dtype."""
        return X if self.standard_ is None else self.standard_.apply(X)

    def _outward(self, X: Array) -> Array:
        """X (N, D) as the model has it in the user's units; standardised ones become float64."""
        return X if self.standard_ is None else self.standard_.invert(X)

    @property
    def _log_volume(self) -> float:
        """What -log p gains in the user's units, nats: the change of variables."""
        return 0.0 if self.standard_ is None else self.standard_.log_volume

    @property
    def _n_features_out(self) -> int:  # scikit-learn builds get_feature_names_out from this
        return self.latent_dim_

    def _encode(self, X: Array) -> Array:
        raise NotImplementedError

    def _decode(self, Z: Array) -> Array:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to X (N, D); y is ignored."""
        raise NotImplementedError

    def transform(self, X: Any) -> Array:
        """Codes (N, J) of the data X (N, D)."""
        return self._encode(self._inward(self._validate(X, reset=False)))

    def inverse_transform(self, Z: Any) -> Array:
        """Data (N, D) decoded from the codes Z (N, J); float64 where columns are standardised."""
        return self._outward(self._decode(self._validate_codes(Z)))

    # `encode` and `decode` are the article's words for the same two maps; they are methods, not
    # aliases, so that a subclass which overrides transform changes both.
    def encode(self, X: Any) -> Array:
        """Codes (N, J) of X (N, D): the article's word for `transform`."""
        return np.asarray(self.transform(X))

    def decode(self, Z: Any) -> Array:
        """Data (N, D) of the codes Z (N, J): the article's word for `inverse_transform`."""
        return self.inverse_transform(Z)

    def reconstruct(self, X: Any) -> Array:
        """X (N, D) encoded and decoded again."""
        X = self._validate(X, reset=False)
        return self._outward(self._decode(self._encode(self._inward(X))))

    def reconstruction_error(self, X: Any) -> float:
        """Mean over the data of ||x - d(e(x))||², summed over features (E2)."""
        X = self._validate(X, reset=False)
        rebuilt = self._outward(self._decode(self._encode(self._inward(X))))
        difference = X.astype(np.float64) - rebuilt
        return float(np.mean(np.sum(difference * difference, axis=1)))

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the reconstruction error (E2), so that larger is better; y is ignored."""
        return -self.reconstruction_error(X)

    def save(self, path: str | Path) -> Path:
        """Write PATH.safetensors and its manifest PATH.json (sha256 sums, no pickle).

        Raises RunError, in one line, where they cannot be written.
        """
        from minivae.estimators.storage import write_estimator

        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        facts: dict[str, Any] = {
            "class": type(self).__name__,
            "estimator": self._given(),
            "features": self.n_features_in_,
            "latent_dim": int(self.latent_dim_),
            "feature_names": None if names is None else [str(name) for name in names],
            "standard": None if self.standard_ is None else self.standard_.to_dict(),
        }
        if not isinstance(facts["estimator"].get("random_state", 0), int):
            facts["estimator"]["random_state"] = getattr(self, "seed_", 0)
        return write_estimator(path, self._tensors(), facts | self._facts())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator that `save` wrote; CheckpointError where a file is damaged or another's."""
        from minivae.estimators.storage import read_estimator

        _, facts, tensors = read_estimator(path, cls.__name__)
        given = facts["estimator"]
        if isinstance(given.get("hidden"), list):
            given = {**given, "hidden": tuple(given["hidden"])}
        self = cls(**given)
        self._restore(facts, tensors)
        if facts.get("standard") is not None:
            self.standard_ = Standard.from_dict(facts["standard"])
        if facts["feature_names"] is not None:
            self.feature_names_in_ = np.asarray(facts["feature_names"], dtype=object)
        return self

    def _given(self) -> dict[str, Any]:
        """The parameters as JSON values: a search over np.arange gives NumPy's."""
        given = {key: as_plain(value) for key, value in self.get_params().items()}
        if isinstance(given.get("hidden"), (tuple, list, np.ndarray)):
            given["hidden"] = tuple(as_plain(size) for size in given["hidden"])
        return given

    def _hidden_sizes(self) -> Any:
        """The parameter `hidden` as sizes: one size is one layer."""
        hidden = self._given()["hidden"]
        return (hidden,) if isinstance(hidden, int) else hidden

    def _fitted(self) -> dict[str, Any]:
        """What `fit` has set: the attributes whose names end in an underscore."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def _tensors(self) -> dict[str, Array]:
        """What was fitted, as arrays to be saved: attributes by their own names."""
        return {name: np.asarray(getattr(self, name)) for name in self.FITTED}

    def _facts(self) -> dict[str, Any]:
        """What was fitted and is no array, as JSON values."""
        return {}

    def _restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        """The inverse of `_tensors` and `_facts`."""
        for name in self.FITTED:
            setattr(self, name, tensors[name])
        self.n_features_in_ = facts["features"]
        self.latent_dim_ = facts["latent_dim"]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

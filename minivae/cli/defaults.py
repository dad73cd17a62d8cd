"""What `minivae train` does where no option says otherwise: it depends on the data."""

from __future__ import annotations

from typing import Any

from minivae.parts import LIKELIHOODS

GENERAL: dict[str, Any] = {
    "latent_dim": 20,
    "hidden": (400,),
    "activation": "relu",
    "likelihood": "bernoulli",
    "c": 1.0,
    "epochs": 10,
    "batch_size": 128,
    "lr": 1e-3,
}

# Chosen by eye and by held-out ELBO; each ends in about a minute or less on two cores.
BY_DATA: dict[str, dict[str, Any]] = {
    # 17 measured levels of grey, not coin flips: the Gaussian's codes carry twice the nats of the
    # Bernoulli's (5.3 against 2.3), and what is decoded from them is the sharper for it
    "digits": {
        "likelihood": "gaussian",
        "c": "learned",
        "latent_dim": 2,
        "hidden": (256, 128),
        "epochs": 60,
        "batch_size": 32,
        "lr": 2e-3,
        # c starts at 1, where the KL outweighs the pixels: without a warm-up, a dimension may
        # collapse before c has come down to where it matters
        "warmup": 20.0,
    },
    "shapes": {"latent_dim": 6, "hidden": (256,), "epochs": 60},
    "frey": {
        "likelihood": "gaussian",
        "c": "learned",
        "latent_dim": 10,
        "hidden": (200,),
        "epochs": 200,
        "batch_size": 32,
        "lr": 2e-3,
        "warmup": 60.0,
    },
}


def defaults_for(name: str) -> dict[str, Any]:
    """All defaults for a data set's name; GENERAL's for a user's own file."""
    return GENERAL | BY_DATA.get(name, {})


def likelihood_for(dataset: Any) -> dict[str, Any]:
    """The likelihood that suits a user's own data: Bernoulli only where it fits [0, 1].

    A table of nothing but text columns spread over 0 and 1 is a choice in each group of columns.
    """
    if sum(after - first for first, after in dataset.groups or ()) == dataset.data_dim:
        return {"likelihood": LIKELIHOODS.first(lambda part: part.grouped)}
    low = float(dataset.train.min()) * dataset.scale
    high = float(dataset.train.max()) * dataset.scale
    if low >= 0.0 and high <= 1.0 + 1e-6:
        return {}
    return {"likelihood": "gaussian", "c": "learned"}

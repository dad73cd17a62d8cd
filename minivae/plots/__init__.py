"""Pictures of a trained model, in one printable style; Matplotlib is imported when one is drawn."""

from minivae.plots.curves import kl_bars, training_curves
from minivae.plots.images import interpolations, manifold, reconstructions, samples
from minivae.plots.latent import latent_scatter

__all__ = [
    "interpolations",
    "kl_bars",
    "latent_scatter",
    "manifold",
    "reconstructions",
    "samples",
    "training_curves",
]

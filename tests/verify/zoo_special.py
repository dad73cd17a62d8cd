"""Passes at special points, of large and small gradients, and after public bug reports."""

from tests.verify import (
    zoo_special_layers,
    zoo_special_points,
    zoo_special_sequences,
    zoo_special_ties,
)

PARTS = (zoo_special_points, zoo_special_ties, zoo_special_sequences, zoo_special_layers)
ZOO = [function for part in PARTS for function in part.ZOO]

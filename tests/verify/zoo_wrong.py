"""Wrong passes of many kinds: name -> (forward, backward, inputs, tensor at fault, kinds that name
it, index)."""

from tests.verify import (  # noqa: F401
    zoo_wrong_forms,
    zoo_wrong_forwards,
    zoo_wrong_layers,
    zoo_wrong_losses,
)
from tests.verify.zoo_wrong_dense import CASES  # to which each of the others adds its own

__all__ = ["CASES"]

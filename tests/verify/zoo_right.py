"""Right passes of many kinds, at well-behaved and at nasty points: nothing may be said of them."""

from tests.verify import zoo_right_forms, zoo_right_layers, zoo_right_losses  # noqa: F401
from tests.verify.zoo_right_dense import CASES  # to which each of the others adds its own

__all__ = ["CASES"]

"""Data: named sets and users' files, checked, and downloads that are verified."""

from minivae.data.arrays import from_arrays
from minivae.data.checks import check_domain, require_finite, require_matrix
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import read_idx, write_idx
from minivae.data.load import CatalogueRow as Row
from minivae.data.load import catalogue, load
from minivae.data.registry import NAMES
from minivae.data.shapes import make_shapes
from minivae.data.targets import BINARISE_MODES, binarise_fixed, check_targets

__all__ = [
    "BINARISE_MODES",
    "NAMES",
    "DataError",
    "Dataset",
    "Row",
    "binarise_fixed",
    "catalogue",
    "check_targets",
    "check_domain",
    "from_arrays",
    "load",
    "make_shapes",
    "read_idx",
    "require_finite",
    "require_matrix",
    "write_idx",
]

"""The data sets that are known by name: their files, checksums, mirrors and terms."""

from __future__ import annotations

from dataclasses import dataclass, field

from minivae.data.digits import LICENCE as DIGITS_LICENCE

_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_LAROCHELLE = "www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/binarized_mnist_"
_MADE = "https://github.com/mgermain/MADE/releases/download/ICML2015/binarized_mnist.npz"
_FREY = "cs.nyu.edu/~roweis/data/frey_rawface.mat"
NO_LICENCE = "none stated"


@dataclass(frozen=True)
class RemoteFile:
    """A published file: the name it takes here, and where it may be fetched, best first.

    ``bytes`` is 0 where the size is not known. ``sha256`` is None only where the file is converted
    and its arrays are checked instead.
    """

    name: str
    bytes: int
    urls: tuple[str, ...]
    sha256: str | None = None


@dataclass(frozen=True)
class DatasetEntry:
    """One named data set. ``folders`` are where copies of ``files`` lie, under a data folder.

    ``recipes`` are ways to make ``files`` where these are not themselves published: each a name of
    a converter in :mod:`minivae.data.convert` and the files it needs. ``arrays`` are the sha256 of
    the content of each array, for data whose file may be written anew.
    """

    name: str
    rows: tuple[int, int, int]  # train, valid, test
    features: int
    bytes: int  # of the files as kept, compressed
    licence: str
    source: str
    shape: tuple[int, int]
    folders: tuple[str, ...] = ()
    files: tuple[RemoteFile, ...] = ()
    recipes: tuple[tuple[str, tuple[RemoteFile, ...]], ...] = ()
    arrays: dict[str, str] = field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether the data needs no file."""
        return not self.files


def _idx_files(
    bases: tuple[str, ...], sums: tuple[tuple[str, int, str], ...]
) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, size, tuple(base + name for base in bases), sha256)
        for name, size, sha256 in sums
    )


_MNIST_FILES = _idx_files(
    _MNIST,
    (
        (
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)
_FASHION_FILES = _idx_files(
    _FASHION,
    (
        (
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)
# Larochelle's text files: 784 digits, each with a space or the line's end, a row.
_AMAT = tuple(
    RemoteFile(
        f"binarized_mnist_{part}.amat",
        rows * 784 * 2,
        (f"https://{_LAROCHELLE}{part}.amat", f"http://{_LAROCHELLE}{part}.amat"),
    )
    for part, rows in (("train", 50000), ("valid", 10000), ("test", 10000))
)

ENTRIES = (
    DatasetEntry(
        "digits", (1500, 0, 297), 64, 57523, DIGITS_LICENCE, "UCI, in scikit-learn", (8, 8)
    ),
    DatasetEntry(
        "shapes",
        (6000, 0, 1000),
        784,
        0,
        "public domain",
        "generated",
        (28, 28),
    ),
    DatasetEntry(
        "mnist",
        (60000, 0, 10000),
        784,
        sum(f.bytes for f in _MNIST_FILES),
        NO_LICENCE,
        "Y. LeCun, C. Cortes and C. Burges, 1998",
        (28, 28),
        ("mnist", "MNIST/raw"),
        _MNIST_FILES,
    ),
    DatasetEntry(
        "fashion-mnist",
        (60000, 0, 10000),
        784,
        sum(f.bytes for f in _FASHION_FILES),
        "MIT",
        "H. Xiao, K. Rasul and R. Vollgraf, 2017",
        (28, 28),
        ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"),
        _FASHION_FILES,
    ),
    DatasetEntry(
        "frey",
        (1769, 0, 196),
        560,
        1100528,
        NO_LICENCE,
        "B. Frey's face, by S. Roweis's data page",
        (28, 20),
        ("frey",),
        (RemoteFile("freyfaces_uint8.npy", 1100528, ()),),
        recipes=(
            (
                "frey_mat",
                (RemoteFile("frey_rawface.mat", 1150000, (f"https://{_FREY}", f"http://{_FREY}")),),
            ),
        ),
        arrays={"": "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"},
    ),
    DatasetEntry(
        "binarized-mnist",
        (50000, 10000, 10000),
        784,
        2295919,
        NO_LICENCE,
        "H. Larochelle's fixed binarisation of MNIST",
        (28, 28),
        ("binarized_mnist", "binarized-mnist"),
        (RemoteFile("binarized_mnist_packbits.npz", 2295919, ()),),
        recipes=(
            ("binarized_amat", _AMAT),
            ("binarized_made", (RemoteFile("binarized_mnist.npz", 0, (_MADE,)),)),
        ),
        arrays={
            "train": "727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906",
            "valid": "a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d",
            "test": "9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2",
        },
    ),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
NAMES = tuple(BY_NAME)
_ALIASES = {
    "fashion": "fashion-mnist",
    "fashionmnist": "fashion-mnist",
    "freyfaces": "frey",
    "frey-faces": "frey",
    "binarised-mnist": "binarized-mnist",
    "binary-mnist": "binarized-mnist",
}


def known_name(text: str) -> str | None:
    """The data set's name for what a person typed (case, _ or - alike), or None."""
    key = text.strip().lower().replace("_", "-")
    key = _ALIASES.get(key, key)
    return key if key in BY_NAME else None
